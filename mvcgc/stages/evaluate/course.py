"""The course of a stage that is made of several parts: how its one journal counts their steps."""

from collections.abc import Mapping
from dataclasses import dataclass

from mvcgc.stages.context import StageJournal
from mvcgc.train.session import Journal


@dataclass(frozen=True)
class PartJournal:
    """A journal for one part: its step 0 is the stage's step ``offset``, its figures' names end in
    ``suffix``.
    """

    journal: Journal
    offset: int
    steps: int
    suffix: str

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Figures after ``step`` completed steps of the part."""
        named = {f"{name}{self.suffix}": value for name, value in metrics.items()}
        self.journal.metrics(self.offset + step, named)

    def resume(self, from_step: int) -> None:
        """This attempt goes on within the part.

        Of a part that is complete nothing is told: what an earlier attempt said of later parts still holds.
        """
        if from_step < self.steps:
            self.journal.resume(self.offset + from_step)

    def flush(self) -> None:
        """Bring everything to the disk."""
        self.journal.flush()


class Course:
    """The parts of a stage in the order in which they are done, with the number of steps of each."""

    def __init__(self, journal: StageJournal, parts: Mapping[str, int]) -> None:
        self._journal = journal
        self._parts = dict(parts)
        self.total = sum(self._parts.values())
        journal.begin(self.total, "step")

    def part(self, name: str, suffix: str = "") -> PartJournal:
        """The journal of the part ``name``."""
        before = list(self._parts)[: list(self._parts).index(name)]
        offset = sum(self._parts[earlier] for earlier in before)
        return PartJournal(self._journal, offset, self._parts[name], suffix)

    def finish(self, metrics: Mapping[str, float]) -> None:
        """The stage's headline figures."""
        self._journal.metrics(self.total, metrics)
