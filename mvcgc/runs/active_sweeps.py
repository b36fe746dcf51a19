"""Which sweeps still want their stages: a mark beside each one's record.

A sweep that was submitted and left has no process that could say so, and another sweep may have submitted the
very stages that it waits for. So its mark stays until it ends in order, is cancelled, or is started again.
"""

from pathlib import Path

from mvcgc.runs.lock import Lock
from mvcgc.runs.record import SweepRecord, read_record, records_folder


def begin(root: Path, record: SweepRecord) -> None:
    """From now on the sweep wants its stages, for this process and beyond its life.

    It takes the place of earlier starts of the same rows that nobody waits for any more.
    """
    for earlier in ongoing(root):
        same = (earlier.name, earlier.scale) == (record.name, record.scale)
        if same and earlier.stages.keys() <= record.stages.keys():
            owner = _mark(root, earlier.id).owner
            if owner is None or owner.provably_dead:
                end(root, earlier.id)
    _mark(root, record.id).try_acquire(record.id)


def end(root: Path, sweep: str) -> None:
    """The sweep of this id wants nothing more; nothing happens if it does not anyway."""
    _mark(root, sweep).path.unlink(missing_ok=True)


def is_ongoing(root: Path, sweep: str) -> bool:
    """Whether the sweep of this id wants its stages."""
    return _mark(root, sweep).path.exists()


def ongoing(root: Path) -> list[SweepRecord]:
    """The sweeps that want their stages, in the order of their names."""
    marks = sorted(records_folder(root).glob("*.ongoing"))
    records = [mark.with_suffix(".json") for mark in marks]
    return [read_record(path) for path in records if path.exists()]


def _mark(root: Path, sweep: str) -> Lock:
    """A lock that outlives its process: it names who waits for the sweep, dead or alive."""
    return Lock(records_folder(root) / f"{sweep}.ongoing")
