"""The outcome of a graph's execution."""

import signal
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Failure:
    """The reason of a stage's failure, and the log with details (None if there is none here)."""

    reason: str
    log: Path | None


@dataclass
class Report:
    """Stages by id: finished (``done``, of which ``ran`` here), ``failed``, and ``blocked`` by which failure.

    ``left`` are the jobs of stages that the executor leaves to wait or run. ``stopped_by`` is the signal that
    ended the execution early: stages in none of the four are still to do.
    """

    done: set[str] = field(default_factory=set)
    ran: set[str] = field(default_factory=set)
    failed: dict[str, Failure] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    stopped_by: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """0 if everything is finished, 1 if a stage failed, 128 + signal if the user stopped it."""
        if self.stopped_by is not None:
            return 128 + self.stopped_by.value
        return 1 if self.failed else 0
