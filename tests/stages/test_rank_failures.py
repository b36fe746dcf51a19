"""How rank 0 comes to know why another rank failed."""

import os
import threading
from pathlib import Path

import pytest
import torch.distributed as td

from mvcgc.runs.folder import StageFolder
from mvcgc.stages import rank_failures


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return StageFolder(tmp_path / "cross-0123456789abcdef")


def test_the_first_note_of_the_attempt_counts(folder: StageFolder) -> None:
    assert rank_failures.note(folder, 2) == ""
    rank_failures.leave_note(folder, 1, 1, "an earlier attempt's")
    for order, rank in enumerate((3, 1)):
        rank_failures.leave_note(folder, 2, rank, f"reason {order}")
        os.utime(folder.logs / f"2.{rank}.failed", (order, order))
    assert rank_failures.note(folder, 2) == "rank 3: reason 0"


def test_a_lost_connection_is_no_cause(folder: StageFolder) -> None:
    said = ((0, "DistBackendError: NCCL error"), (2, "ValueError: bad: worse"), (1, "OSError: late"))
    for order, (rank, reason) in enumerate(said):
        rank_failures.leave_note(folder, 1, rank, reason)
        os.utime(folder.logs / f"1.{rank}.failed", (order, order))
    assert [(note.rank, note.reason) for note in rank_failures.notes(folder, 1)] == list(said)
    assert rank_failures.first_cause(folder, 1) == rank_failures.Note(2, "ValueError: bad: worse")
    assert rank_failures.note(folder, 1) == "rank 2: ValueError: bad: worse"
    (folder.logs / "1.2.failed").unlink()
    (folder.logs / "1.1.failed").unlink()
    assert rank_failures.first_cause(folder, 1) is None
    assert rank_failures.note(folder, 1) == "rank 0: DistBackendError: NCCL error"


def test_another_rank_that_failed_before_is_the_cause(
    folder: StageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(td, "is_initialized", lambda: True)
    monkeypatch.setattr(td, "get_world_size", lambda: 2)
    rank_failures.leave_note(folder, 1, 1, "RuntimeError: CUDA error")
    assert (
        rank_failures.cause(folder, 1, ValueError("a shape of nothing")) == "rank 1: RuntimeError: CUDA error"
    )
    # What all ranks agree on is no one's in particular.
    assert rank_failures.cause(folder, 1, RuntimeError("CUDA error")) == "RuntimeError: CUDA error"


def test_one_line() -> None:
    assert rank_failures.one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert rank_failures.one_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_alone_the_cause_is_ones_own(folder: StageFolder) -> None:
    rank_failures.leave_note(folder, 1, 1, "nothing to do with it")
    assert rank_failures.cause(folder, 1, RuntimeError("gloo: connection closed")) == (
        "RuntimeError: gloo: connection closed"
    )


def test_a_broken_connection_has_its_cause_elsewhere(
    folder: StageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(td, "is_initialized", lambda: True)
    monkeypatch.setattr(td, "get_world_size", lambda: 2)
    assert rank_failures.cause(folder, 1, ValueError("my own")) == "ValueError: my own"
    threading.Timer(0.3, rank_failures.leave_note, (folder, 1, 1, "out of memory")).start()
    assert rank_failures.cause(folder, 1, td.DistBackendError("reset")) == "rank 1: out of memory"
    monkeypatch.setattr(rank_failures, "NOTE_SECONDS", 0.1)
    assert rank_failures.cause(folder, 2, td.DistBackendError("reset")) == "DistBackendError: reset"


@pytest.mark.parametrize("ends_itself", [False, True])
def test_lookout_ends_a_rank_that_hangs(
    folder: StageFolder, monkeypatch: pytest.MonkeyPatch, ends_itself: bool
) -> None:
    ended = threading.Event()
    said: list[str] = []
    monkeypatch.setattr(rank_failures, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(rank_failures, "GRACE_SECONDS", 30.0 if ends_itself else 0.05)
    monkeypatch.setattr(os, "_exit", lambda _: ended.set())
    lookout = rank_failures.Lookout(folder, 1, said.append)
    rank_failures.leave_note(folder, 1, 1, "out of memory")
    if ends_itself:
        lookout.close()
    assert ended.wait(0.3 if ends_itself else 10.0) is not ends_itself
    assert said == ([] if ends_itself else ["rank 1: out of memory"])
