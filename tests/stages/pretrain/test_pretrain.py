"""Pre-training stages from folder to folder, in this process and in real ones that are killed."""

import json
import os
import shutil
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from real_processes import PROCESSES, run_ranks
from stage_factories import CROSS, INFONCE, OPTIM, make_dataset, make_stage, spec, stage_process, start
from torch import Tensor

from mvcgc.commands.weights import export_encoder
from mvcgc.data.clips.sampling import permutation
from mvcgc.data.index.manifest import Manifest, publish
from mvcgc.errors import UserError
from mvcgc.files import sha256_of
from mvcgc.method.uber import UberNCE
from mvcgc.models import Encoder, build_backbone
from mvcgc.runs import journal
from mvcgc.runs.folder import StageDamaged, StageFolder
from mvcgc.stages.pretrain.run import build_model
from mvcgc.stages.runner import main
from mvcgc.train import ScheduleKind

TIMING = {"clips_per_s", "data_wait"}
Dataset = tuple[Manifest, Path]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def inits(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> dict[str, StageFolder]:
    """Both views, initialised."""
    root = tmp_path_factory.mktemp("inits")
    plateau = replace(OPTIM, schedule=ScheduleKind.plateau)
    folders = {
        view: make_stage(root, f"init/{view}", spec([view], INFONCE, plateau), dataset)
        for view in ("rgb", "mv")
    }
    for folder in folders.values():
        assert main([str(folder.path)]) == 0
    return folders


def lines(folder: StageFolder) -> dict[str, list[float]]:
    points = journal.read(folder.journal).points
    return {name: [point.value for point in line] for name, line in points.items() if name not in TIMING}


def encoder_of(folder: StageFolder, view: str) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(folder.path / f"encoder_{view}.pt", weights_only=True)
    return state


def test_initialisation_leaves_encoder_journal_and_metrics(inits: dict[str, StageFolder]) -> None:
    for view, folder in inits.items():
        done = folder.verify_done()
        assert list(done.outputs) == [f"encoder_{view}.pt"]
        judged = {"val_loss", "val_chance", f"val_acc_{view}", "lr"}
        assert {"loss", f"acc_{view}", "mined", "queue_fill", "clips_per_s", *judged} == set(done.metrics)
        encoder = Encoder(
            build_backbone(spec([view], INFONCE).backbone, {"rgb": 3, "mv": 2}[view]), INFONCE.dim
        )
        encoder.load_state_dict(encoder_of(folder, view))
        found = journal.read(folder.journal)
        assert (found.progress.status, found.progress.step) == (journal.Status.DONE, 6)
        assert (found.progress.total_steps, found.progress.unit) == (6, "step")
        assert found.params["views"] == view
        assert found.params["method"] == "infonce"
        assert [point.step for point in found.points["val_loss"]] == [3, 6]
        assert len(found.points["loss"]) == 6


def test_cross_starts_from_both_parents(
    inits: dict[str, StageFolder], dataset: Dataset, tmp_path: Path
) -> None:
    wanted = spec(["rgb", "mv"], CROSS)
    model = build_model(wanted, inits, {})
    for view in ("rgb", "mv"):
        for name, value in encoder_of(inits[view], view).items():
            assert torch.equal(model.pair(view).query.state_dict()[name], value)
            assert torch.equal(model.pair(view).key.state_dict()[name], value)
    folder = make_stage(tmp_path, "cross", wanted, dataset, inits)
    assert main([str(folder.path)]) == 0
    done = folder.verify_done()
    assert sorted(done.outputs) == ["encoder_mv.pt", "encoder_rgb.pt"]
    assert {"acc_rgb", "acc_mv", "mined", "mined_precision"} <= set(done.metrics)
    assert 0 < done.metrics["mined"] <= 4
    assert 0 <= done.metrics["mined_precision"] <= 1
    for view in ("rgb", "mv"):
        name = "backbone.layers.0.weight"
        assert not torch.equal(encoder_of(folder, view)[name], encoder_of(inits[view], view)[name])


def test_cross_without_parents_starts_from_the_seed(dataset: Dataset) -> None:
    torch.manual_seed(0)
    model = build_model(spec(["rgb", "mv"], replace(CROSS, init=False)), {}, {})
    torch.manual_seed(0)
    again = build_model(spec(["rgb", "mv"], CROSS), {}, {})
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_cross_starts_from_given_weights_with_a_new_head(
    inits: dict[str, StageFolder], tmp_path: Path
) -> None:
    """rgb from a file, mv from its parent."""
    file = tmp_path / "rgb.safetensors"
    export_encoder(inits["rgb"], file, None)
    wanted = replace(spec(["rgb", "mv"], CROSS), weights={"rgb": sha256_of(file)})
    torch.manual_seed(0)
    untouched = build_model(spec(["rgb", "mv"], CROSS), {}, {}).pair("rgb").query.state_dict()
    torch.manual_seed(0)
    pair = build_model(wanted, {"mv": inits["mv"]}, {"rgb": str(file)}).pair("rgb")
    for name, value in encoder_of(inits["rgb"], "rgb").items():
        expected = value if name.startswith("backbone.") else untouched[name]
        assert torch.equal(pair.query.state_dict()[name], expected), name
        assert torch.equal(pair.key.state_dict()[name], expected), name
    with file.open("ab") as changed:
        changed.write(b"x")
    with pytest.raises(
        UserError, match=rf"^init\.weights\.rgb={file}: is not the file that the run was plan"
    ):
        build_model(wanted, {"mv": inits["mv"]}, {"rgb": str(file)})


def test_provenance_tells_where_it_comes_from(inits: dict[str, StageFolder]) -> None:
    attempts = json.loads(inits["rgb"].provenance.read_text())["attempts"]
    assert [attempt["attempt"] for attempt in attempts] == [1]
    assert attempts[0]["packages"]["torch"] == metadata.version("torch")
    assert attempts[0]["ranks"][0].endswith("1 threads")
    assert attempts[0]["command"]


def test_finished_stage_is_left_alone_and_a_damaged_one_made_again(
    inits: dict[str, StageFolder], dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = StageFolder(tmp_path / inits["rgb"].path.name)
    shutil.copytree(inits["rgb"].path, folder.path)
    before = folder.done.read_bytes()
    assert main([str(folder.path)]) == 0
    assert folder.done.read_bytes() == before
    assert journal.attempts(folder.journal) == [1]
    (folder.path / "encoder_rgb.pt").write_bytes(b"")
    assert main([str(folder.path)]) == 0
    assert "is finished again" in capfd.readouterr().err
    assert folder.verify_done().outputs == inits["rgb"].verify_done().outputs
    assert journal.attempts(folder.journal) == [1, 2]


def test_killed_twice_and_gone_on_exactly(dataset: Dataset, tmp_path: Path) -> None:
    wanted = spec(["rgb"], INFONCE, replace(OPTIM, epochs=5))
    whole = make_stage(tmp_path / "whole", "init/rgb", wanted, dataset)
    assert main([str(whole.path)]) == 0
    folder = make_stage(tmp_path / "parts", "init/rgb", wanted, dataset, checkpoint_every_s=0.0)

    killed = PROCESSES.Process(target=stage_process, args=(folder.path,))
    killed.start()
    wait_for_step(folder, 2)
    killed.kill()
    killed.join()
    assert journal.read(folder.journal).progress.status is journal.Status.RUNNING

    asked = start(folder)  # as people and launchers start it
    wait_for_step(folder, 5)
    asked.terminate()
    said = asked.communicate(timeout=500)[1]
    assert asked.returncode == 3, said
    assert "init/rgb: SIGTERM: checkpoint after step" in said
    progress = journal.read(folder.journal).progress
    assert (progress.attempt, progress.status, progress.reason) == (2, journal.Status.INTERRUPTED, "SIGTERM")
    assert not folder.done.exists()

    assert main([str(folder.path)]) == 0
    progress = journal.read(folder.journal).progress
    assert progress.attempt == 3
    assert progress.from_step >= 5
    assert lines(folder) == lines(whole)
    for name, value in encoder_of(whole, "rgb").items():
        assert torch.equal(encoder_of(folder, "rgb")[name], value), name
    attempts = json.loads(folder.provenance.read_text())["attempts"]
    assert [attempt["attempt"] for attempt in attempts] == [1, 2, 3]


def wait_for_step(folder: StageFolder, step: int) -> None:
    tail = journal.Tail(folder.journal)
    deadline = time.monotonic() + 500
    while tail.poll().step < step:
        assert time.monotonic() < deadline
        assert not folder.done.exists(), "it was too fast"
        time.sleep(0.01)


def test_two_ranks_with_synchronised_norm_equal_one(dataset: Dataset, tmp_path: Path) -> None:
    # A small rate: networks of twenty layers on few pixels blow the rounding up from step to step.
    wanted = spec(["rgb", "mv"], CROSS, replace(OPTIM, sync_bn=True, lr=1e-5))
    alone = make_stage(tmp_path / "alone", "cross", wanted, dataset)
    assert main([str(alone.path)]) == 0
    shared = make_stage(tmp_path / "shared", "cross", wanted, dataset, ranks=2)
    assert run_ranks(stage_process, shared.path) == [0, 0]
    one, two = lines(alone), lines(shared)
    for name in ("loss", "mined", "acc_rgb", "acc_mv", "queue_fill"):
        assert two[name] == pytest.approx(one[name], rel=2e-3), name
    assert sorted(shared.verify_done().outputs) == ["encoder_mv.pt", "encoder_rgb.pt"]


def test_the_rank_that_failed_gives_the_reason(dataset: Dataset, tmp_path: Path) -> None:
    """Two ranks; the file of a video that the second one reads first is emptied after planning."""
    videos = tmp_path / "videos"
    shutil.copytree(dataset[0].root, videos)
    manifest = replace(dataset[0], root=videos)
    wanted = spec(["rgb"], INFONCE)
    folder = make_stage(tmp_path, "init/rgb", wanted, (manifest, publish(manifest, tmp_path)), ranks=2)
    number = permutation(wanted.seed, 0, 12)[2]  # ranks share out steps of four
    (videos / f"{number:02d}.avi").write_bytes(b"")
    codes = run_ranks(stage_process, folder.path)
    assert codes == [1, 1]
    progress = journal.read(folder.journal).progress
    assert progress.status is journal.Status.FAILED
    assert progress.reason.startswith("rank 1: UnreadableVideos: 1 of 2 videos of the batch cannot be read:")
    assert f"{number:02d}.avi" in progress.reason
    assert "\n" not in progress.reason


def change(folder: StageFolder, **changes: Any) -> None:
    """Edit config.yaml as nobody should."""
    content = yaml.safe_load(folder.config.read_text())
    for dotted, value in changes.items():
        node = content
        *path, last = dotted.split("__")
        for name in path:
            node = node[name]
        node[last] = value
    folder.config.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fingerprint": "0123456789abcdef"}, "is not for this folder or this version of the code"),
        ({"code_version": 999}, "is not for this folder or this version of the code"),
        ({"dataset_digest": "other"}, "is not the dataset that init/rgb was planned with"),
        ({"spec__optim__lr": -1.0}, "optim.lr=-1.0 must be a positive number"),
        ({"spec__optim__speed": 3}, "speed"),
        ({"spec__optim__batch_size": 64}, "optim.batch_size=64: larger than the 12 videos"),
        ({"runtime__manifest": "/nowhere.arrow"}, "/nowhere.arrow: cannot be read as a manifest"),
        ({"runtime__device": "cuda"}, "device=cuda but torch sees no GPU"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(
    dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str], changes: dict[str, Any], message: str
) -> None:
    if "cuda" in changes.values() and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    folder = make_stage(tmp_path, "init/rgb", spec(["rgb"], INFONCE), dataset)
    change(folder, **changes)
    assert main([str(folder.path)]) == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("error: ")
    assert message in said[0]
    progress = journal.read(folder.journal).progress
    assert progress.status is journal.Status.FAILED
    assert progress.reason == said[0].removeprefix("error: ")
    assert not folder.done.exists()


def test_supervision_needs_labels(
    dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    unlabelled = replace(dataset[0], videos=[replace(video, label=-1) for video in dataset[0].videos])
    wanted = spec(["rgb", "mv"], UberNCE.Config(queue=8, momentum=0.9, dim=16))
    folder = make_stage(tmp_path, "cross", wanted, (unlabelled, publish(unlabelled, tmp_path)))
    assert main([str(folder.path)]) == 2
    assert "method=uber needs labels" in capfd.readouterr().err


def test_a_parent_that_changed_is_no_parent(
    inits: dict[str, StageFolder], dataset: Dataset, tmp_path: Path
) -> None:
    parents = {}
    for view, folder in inits.items():
        parents[view] = StageFolder(tmp_path / view / folder.path.name)
        shutil.copytree(folder.path, parents[view].path)
    torch.save({}, parents["mv"].path / "encoder_mv.pt")
    folder = make_stage(tmp_path, "cross", spec(["rgb", "mv"], CROSS), dataset, parents)
    with pytest.raises(StageDamaged, match=r"encoder_mv\.pt is not the file that DONE\.json names"):
        main([str(folder.path)])
    progress = journal.read(folder.journal).progress
    assert progress.status is journal.Status.FAILED
    assert progress.reason.startswith("StageDamaged: ")


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "usage: python -m mvcgc.stages FOLDER\n"


def test_queue_that_never_fills_is_said(
    dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = spec(["rgb", "mv"], replace(CROSS, queue=512), replace(OPTIM, epochs=1))
    folder = make_stage(tmp_path, "cross", wanted, dataset, workers=0)
    assert main([str(folder.path)]) == 0
    assert "method.queue=512 is not full before the training ends, after 12 samples" in capfd.readouterr().err
    assert os.environ.get("WORLD_SIZE") is None
