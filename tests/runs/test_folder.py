import hashlib
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvcgc.files import write_atomic
from mvcgc.runs.fingerprint import EXCLUDED, canonical_json, fingerprint, plain, semantic
from mvcgc.runs.folder import StageDamaged, StageFolder

FINGERPRINT = "0123456789abcdef"

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Colour(Enum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


@dataclass
class Inner:
    rate: float = 0.1
    colour: Colour = Colour.RED


@dataclass
class Outer:
    size: tuple[int, int] = (3, 4)
    inner: Inner = field(default_factory=Inner)
    path: Path = Path("a/b")


class TestCanonicalJson:
    def test_of_dataclasses_enums_tuples_and_paths(self) -> None:
        text = '{"inner":{"colour":"red","rate":0.1},"path":"a/b","size":[3,4]}'
        assert canonical_json(Outer()) == text
        assert canonical_json(Number.ONE) == "1"

    @given(trees)
    def test_says_the_same_again_after_a_round_trip(self, tree: Any) -> None:
        text = canonical_json(tree)
        assert canonical_json(json.loads(text)) == text
        assert text.isascii()

    @given(st.dictionaries(st.text(), scalars))
    def test_does_not_know_the_order_of_keys(self, tree: dict[str, Any]) -> None:
        assert canonical_json(dict(reversed(tree.items()))) == canonical_json(tree)

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_keeps_every_bit_of_a_float(self, number: float) -> None:
        assert float(canonical_json(number)).hex() == number.hex()

    def test_keeps_the_order_of_lists_and_tells_kinds_apart(self) -> None:
        values: list[Any] = [[1, 2], [2, 1], 1, 1.0, True, "1", None, [], {}, "", -0.0, 0.0, [1, [2]]]
        assert len({canonical_json(value) for value in values}) == len(values)

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_refuses_numbers_without_identity(self, number: float) -> None:
        with pytest.raises(ValueError, match="no identity"):
            canonical_json({"lr": [number]})

    @pytest.mark.parametrize("thing", [object(), {1: 2}, {"a": {3}}, b"x", Outer])
    def test_refuses_what_has_no_one_text(self, thing: Any) -> None:
        with pytest.raises(TypeError):
            canonical_json(thing)


class TestFingerprint:
    spec: dict[str, Any] = {  # noqa: RUF012
        "dataset": {"kind": "demo", "root": "/here", "name": "demo", "demo": {"train": 3}, "split": 1},
        "optim": {"lr": 1e-4, "epochs": 3},
    }

    def of(self, **changes: Any) -> str:
        arguments: dict[str, Any] = {
            "name": "init/rgb",
            "code_version": 1,
            "spec": self.spec,
            "dataset_digest": "d1",
            "parents": ["p1", "p2"],
        }
        return fingerprint(**{**arguments, **changes})

    def test_is_sixteen_hexadecimal_digits_and_fixed_for_ever(self) -> None:
        # A fingerprint that changes with our code throws away every user's finished stages.
        text = '{"code":1,"dataset":"d","name":"cross","parents":["p"]}\n{"a":0.1,"b":[1,null]}'
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == "74a37a1821e37ab8"
        assert fingerprint("cross", 1, {"a": 0.1, "b": [1, None]}, "d", ["p"]) == "74a37a1821e37ab8"

    @pytest.mark.parametrize(
        "change",
        [
            {"name": "init/mv"},
            {"code_version": 2},
            {"dataset_digest": "d2"},
            {"parents": ["p1"]},
            {"parents": ["p2", "p1"]},
            {"parents": ["p1p2"]},
            {"spec": {**spec, "optim": {"lr": 1e-4, "epochs": 4}}},
            {"spec": {**spec, "optim": {"lr": 1e-4}}},
            {"spec": {**spec, "dataset": {**spec["dataset"], "split": 2}}},
        ],
    )
    def test_changes_with_all_that_can_change_the_result(self, change: dict[str, Any]) -> None:
        assert self.of(**change) != self.of()

    def test_ignores_what_is_excluded(self) -> None:
        assert "dataset.name" in EXCLUDED
        changed = {**self.spec, "dataset": {**self.spec["dataset"], "name": "x"}}
        assert self.of(spec=changed) == self.of()
        assert changed["dataset"]["name"] == "x"

    def test_excludes_nothing_of_the_same_name_elsewhere(self) -> None:
        spec = {"dataset": {"inner": {"name": 1}}, "name": 2, "clip": {"name": 3}}
        assert semantic(spec) == spec

    def test_counts_a_default_like_any_other_value(self) -> None:
        assert fingerprint("n", 1, plain(Inner()), "d", []) != fingerprint("n", 1, {}, "d", [])


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    folder = StageFolder.of(tmp_path, "init/rgb", FINGERPRINT)
    folder.path.mkdir(parents=True)
    return folder


class TestStageFolder:
    def test_is_named_after_the_stage(self, folder: StageFolder, tmp_path: Path) -> None:
        assert folder.path == tmp_path / "stages" / "init" / f"rgb-{FINGERPRINT}"
        assert folder.fingerprint == FINGERPRINT
        assert folder.log(2, 0) == folder.path / "logs" / "2.0.log"

    def test_is_done_once_its_outputs_are_written_down(self, folder: StageFolder) -> None:
        assert folder.read_done() is None
        (folder.path / "sub").mkdir()
        (folder.path / "sub" / "encoder.pt").write_bytes(b"weights")
        written = folder.write_done([Path("sub/encoder.pt")], {"loss": 0.5, "bad": math.inf})
        assert folder.verify_done() == folder.read_done() == written
        raw = json.loads(folder.done.read_text())
        assert raw["fingerprint"] == FINGERPRINT
        assert raw["outputs"] == {
            "sub/encoder.pt": {"bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}
        }
        assert raw["metrics"] == {"bad": "inf", "loss": 0.5}
        assert written.metrics == {"loss": 0.5, "bad": math.inf}

    def test_tells_a_changed_output(self, folder: StageFolder) -> None:
        output = folder.path / "encoder.pt"
        output.write_bytes(b"weights")
        folder.write_done([Path("encoder.pt")], {})
        output.write_bytes(b"weightz")
        assert folder.read_done() is not None, "the cheap check looks at sizes alone"
        with pytest.raises(StageDamaged, match=r"encoder\.pt is not the file"):
            folder.verify_done()
        output.write_bytes(b"torn")
        with pytest.raises(StageDamaged, match=r"encoder\.pt is not the file"):
            folder.read_done()
        output.unlink()
        with pytest.raises(StageDamaged, match=r"encoder\.pt is missing"):
            folder.read_done()

    @pytest.mark.parametrize(
        "text", [b"", b"\xff", b"{", b"[]", b"{}", b'{"fingerprint": "x", "outputs": []}']
    )
    def test_tells_a_done_file_that_is_none(self, folder: StageFolder, text: bytes) -> None:
        folder.done.write_bytes(text)
        with pytest.raises(StageDamaged, match="cannot be read"):
            folder.read_done()

    def test_tells_the_done_file_of_another_stage(self, folder: StageFolder) -> None:
        folder.write_done([], {})
        other = folder.path.with_name("rgb-ffffffffffffffff")
        folder.path.rename(other)
        with pytest.raises(StageDamaged, match="another stage"):
            StageFolder(other).read_done()

    def test_does_not_verify_what_is_not_finished(self, folder: StageFolder) -> None:
        with pytest.raises(StageDamaged, match="not finished"):
            folder.verify_done()

    def test_has_no_fingerprint_without_one_in_its_name(self, tmp_path: Path) -> None:
        with pytest.raises(StageDamaged, match="fingerprint"):
            _ = StageFolder(tmp_path / "cross-12").fingerprint


class TestWriteAtomic:
    def test_leaves_the_old_file_if_the_new_one_cannot_be_written(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "file"
        write_atomic(path, "old")
        with pytest.raises(UnicodeEncodeError):
            write_atomic(path, "\ud800")
        assert path.read_text() == "old"
        assert os.listdir(path.parent) == ["file"]

    def test_never_shows_half_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        write_atomic(path, "0" * 100_000)
        script = (
            "import sys, pathlib\nfrom mvcgc.runs.folder import write_atomic\n"
            "for i in range(60): write_atomic(pathlib.Path(sys.argv[1]), str(i % 10) * 100_000)"
        )
        writers = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(2)]
        while any(writer.poll() is None for writer in writers):
            text = path.read_text()
            assert len(text) == 100_000
            assert len(set(text)) == 1
        assert [writer.returncode for writer in writers] == [0, 0]
