"""Checkpoints after a kill at every single step of the writing, and after the disk has lied."""

import json
import os
import pickle
import random
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from real_processes import run_one

from mvcgc.train import rng
from mvcgc.train.checkpoint import CheckpointDamaged, Checkpoints

CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def content(step: int) -> dict[str, Any]:
    return {"weights": torch.full((3, 4), float(step)), "nested": {"list": [step, "text", None, 0.5]}}


def loaded_step(folder: Path) -> int:
    """The step of the checkpoint that is found; all of it must be of that step."""
    loaded = Checkpoints(folder).load()
    assert loaded is not None
    assert loaded.own is not None
    for part in (loaded.shared, loaded.own):
        assert torch.equal(part["weights"], content(loaded.step)["weights"])
        assert part["nested"] == content(loaded.step)["nested"]
    return loaded.step


def save(folder: Path, step: int) -> None:
    Checkpoints(folder).save(step, content(step), content(step))


def save_and_die(folder: Path, step: int, countdown: int) -> None:
    """Die just before the ``countdown``-th change to the disk; exits 0 if there are not so many."""
    left = countdown

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in CHANGES and str(folder) in str(arguments[0]):
            left -= 1
            if left == 0:
                os._exit(9)

    sys.addaudithook(watch)
    save(folder, step)


def test_none_at_first(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "checkpoint").load() is None


def test_newest_two_stay(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        save(tmp_path, step)
        assert loaded_step(tmp_path) == step
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000010", "00000100"]
    meta = json.loads((tmp_path / "00000100" / "meta.json").read_text())
    assert (meta["step"], meta["world"], sorted(meta["files"])) == (100, 1, ["rank-0.pt", "state.pt"])


def test_killed_at_every_point_old_or_new_is_whole(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path / "before", step)
    found = []
    for countdown in range(1, 100):
        folder = tmp_path / str(countdown)
        shutil.copytree(tmp_path / "before", folder)
        exit_code = run_one(save_and_die, folder, 3, countdown)
        found.append(loaded_step(folder))
        if exit_code == 0:
            break
        assert exit_code == 9
        save(folder, 4)  # what the dead left is in nobody's way
        assert loaded_step(folder) == 4
        assert len(list(folder.iterdir())) == 2
    assert exit_code == 0
    assert found == sorted(found), "once it is published it stays"
    assert found.count(2) > 5
    assert found.count(3) > 5


def damage(file: Path, how: str) -> None:
    data = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    elif how == "torn":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 1
        file.write_bytes(data)


@pytest.mark.parametrize("how", ["gone", "torn", "flipped"])
@pytest.mark.parametrize("name", ["state.pt", "rank-0.pt", "meta.json"])
def test_damaged_falls_back_and_can_be_written_again(
    tmp_path: Path, how: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if (how, name) == ("flipped", "meta.json"):
        how = "torn"  # a bit of the JSON may be one of its blanks
    save(tmp_path, 1)
    save(tmp_path, 2)
    damage(tmp_path / "00000002" / name, how)
    assert loaded_step(tmp_path) == 1
    assert "00000002 is damaged" in capsys.readouterr().err
    save(tmp_path, 2)
    assert loaded_step(tmp_path) == 2


def test_all_damaged_fails_loudly(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step)
        damage(tmp_path / f"{step:08d}" / "state.pt", "flipped")
    with pytest.raises(
        CheckpointDamaged, match=re.escape(f"every checkpoint in {tmp_path} is damaged: delete")
    ):
        Checkpoints(tmp_path).load()


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "evil"),))

    Checkpoints(tmp_path / "checkpoint").save(1, {"weights": Evil()}, {})
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        Checkpoints(tmp_path / "checkpoint").load()
    assert not (tmp_path / "evil").exists()


def test_another_number_of_ranks_leaves_the_own_part_out(tmp_path: Path) -> None:
    save(tmp_path, 1)
    meta = tmp_path / "00000001" / "meta.json"
    meta.write_text(meta.read_text().replace('"world": 1', '"world": 2'))
    loaded = Checkpoints(tmp_path).load()
    assert loaded is not None
    assert loaded.own is None
    assert torch.equal(loaded.shared["weights"], content(1)["weights"])


def test_generators_go_on_through_a_file(tmp_path: Path) -> None:
    rng.reseed(11)
    torch.randn(3), random.random(), np.random.rand(3), np.random.randn(1)  # noqa: NPY002
    state = rng.capture()
    expected = [torch.randn(5).tolist(), random.random(), np.random.randn(5).tolist()]  # noqa: NPY002
    Checkpoints(tmp_path).save(1, {}, state)
    rng.reseed(12)
    loaded = Checkpoints(tmp_path).load()
    assert loaded is not None
    assert loaded.own is not None
    rng.restore(loaded.own)
    assert [torch.randn(5).tolist(), random.random(), np.random.randn(5).tolist()] == expected  # noqa: NPY002
