"""What a running stage has at hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from mvcgc import dist
from mvcgc.data.index.manifest import Manifest, load
from mvcgc.dist import Dist
from mvcgc.errors import UserError
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.spec import StageConfig
from mvcgc.train import Checkpoints, Interrupted, NoJournal, Session, StopFlag
from mvcgc.train.session import Journal


@runtime_checkable
class StageJournal(Journal, Protocol):
    """The whole of what a stage may say; `mvcgc.runs.journal.JournalWriter` on rank 0."""

    def begin(self, total_steps: int, unit: str) -> None:
        """The attempt starts; the stage takes ``total_steps`` of ``unit`` in all."""

    def params(self, params: Mapping[str, str | int | float | bool | None]) -> None:
        """What names the run."""

    def tags(self, tags: Mapping[str, str]) -> None:
        """What describes this attempt."""


class NoStageJournal(NoJournal):
    """The journal of the ranks that have none."""

    def begin(self, total_steps: int, unit: str) -> None:
        """Nothing."""

    def params(self, params: Mapping[str, str | int | float | bool | None]) -> None:
        """Nothing."""

    def tags(self, tags: Mapping[str, str]) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Result:
    """What a finished stage leaves: files relative to its folder, and headline metrics. The same on all
    ranks.
    """

    outputs: list[Path]
    metrics: dict[str, float]


@dataclass(frozen=True)
class StageContext:
    """One attempt at one stage, on one rank; ``parents`` are verified, by role."""

    folder: StageFolder
    config: StageConfig
    dist: Dist
    journal: StageJournal
    stop: StopFlag
    parents: dict[str, StageFolder]

    def manifest(self) -> Manifest:
        """The dataset that the stage was planned with. Raises UserError if it has changed since."""
        manifest = load(Path(self.config.runtime.manifest))
        if manifest.digest != self.config.dataset_digest:
            raise UserError(
                f"{self.config.runtime.manifest} is not the dataset that {self.config.name} was planned "
                "with: start the run again"
            )
        return manifest

    def session(self, seed: int, part: str = "") -> Session:
        """What a training loop needs; ``part`` keeps the checkpoints of a stage's several trainings apart."""
        return Session(
            name=f"{self.config.name} {part}".rstrip(),
            dist=self.dist,
            journal=self.journal,
            checkpoints=Checkpoints(self.folder.checkpoint / part),
            stop=self.stop,
            seed=seed,
            log_every=self.config.runtime.log_every,
            checkpoint_every_s=self.config.runtime.checkpoint_every_s,
        )

    def check_stop(self) -> None:
        """Raise Interrupted if any rank was asked to stop. All ranks call it equally often."""
        if dist.any_flag(self.stop.raised):
            raise Interrupted(f"{self.stop.reason}: nothing saved since the last checkpoint")
