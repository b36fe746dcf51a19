"""What a training loop writes to and listens to: one bundle, made by the stage's entry point."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from mvcgc.dist import Dist
from mvcgc.train.checkpoint import Checkpoints
from mvcgc.train.signals import StopFlag

# At the end of an epoch a checkpoint may be this much younger, as a share of the regular interval.
EPOCH_END_SHARE = 0.1


@runtime_checkable
class Journal(Protocol):
    """What the loop says to the stage's journal; `mvcgc.runs.journal.JournalWriter` on rank 0."""

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Figures after ``step`` completed steps."""

    def resume(self, from_step: int) -> None:
        """This attempt goes on after ``from_step`` completed steps."""

    def flush(self) -> None:
        """Bring everything to the disk."""


class NoJournal:
    """The journal of the ranks that have none."""

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def resume(self, from_step: int) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""


@dataclass
class Session:
    """One attempt at a stage, seen from its loop.

    Each rank's generators start from ``seed`` and the rank. A metrics record is written every ``log_every``
    steps, a checkpoint every ``checkpoint_every_s`` seconds, and at the end of an epoch once a tenth of
    that time has passed.
    """

    name: str
    dist: Dist
    journal: Journal
    checkpoints: Checkpoints
    stop: StopFlag
    seed: int = 0
    log_every: int = 10
    checkpoint_every_s: float = 300.0
    _saved_at: float = field(default_factory=time.monotonic)

    def checkpoint_due(self, epoch_ends: bool) -> bool:
        """Return whether this rank's clock asks for a checkpoint now."""
        share = EPOCH_END_SHARE if epoch_ends else 1.0
        return time.monotonic() - self._saved_at >= share * self.checkpoint_every_s

    def checkpoint_saved(self) -> None:
        """Start the interval anew."""
        self._saved_at = time.monotonic()
