"""One attempt at one stage on this machine: its start and its outcome."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.launch.local.machine import Share
from mvcgc.launch.local.processes import RankProcesses
from mvcgc.launch.report import Failure
from mvcgc.plan import Stage
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.journal import JournalWriter, Status, Tail
from mvcgc.runs.state import next_attempt
from mvcgc.stages import rank_failures


@dataclass
class Attempt:
    """The ranks of a stage that was started here; ``started`` by the monotonic clock."""

    stage: Stage
    folder: StageFolder
    number: int
    share: Share
    ranks: RankProcesses
    tail: Tail
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, stage: Stage, root: Path, share: Share, command: Sequence[str]) -> "Attempt":
        """Write the stage's configuration and start its ranks. The caller holds the stage's lock.

        Extends the lock to the ranks' processes.
        """
        folder = stage.folder(root)
        folder.done.unlink(missing_ok=True)  # it is damaged, or the stage would not be started
        stage.config(root).write(folder)
        number = next_attempt(folder)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(stage.runtime.cpus),
            "CUDA_VISIBLE_DEVICES": ",".join(share.gpus),
            "MVCGC_ATTEMPT": str(number),
        }
        folder.logs.mkdir(parents=True, exist_ok=True)
        logs = [folder.log(number, rank) for rank in range(stage.runtime.ranks)]
        ranks = RankProcesses.start([*command, str(folder.path)], logs, environment)
        try:
            folder.lock.extend(ranks.pids)
        except BaseException:
            ranks.kill()
            raise
        return cls(stage, folder, number, share, ranks, Tail(folder.journal))

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self.started

    def failure(self) -> Failure:
        """Return why the attempt failed, once all ranks have ended; write it to the journal too.

        The first rank that failed counts. Where a signal ended it, that is the reason; but for SIGABRT, by
        which NCCL ends ranks that wait for one that has failed and has not ended. Else its own words are:
        what rank 0 said at its end, or another rank's note.
        """
        reason, rank = self.ranks.what_happened()
        said = self.tail.progress.reason if self._said() is Status.FAILED else ""
        ended_by = self.ranks.signal_of(self.ranks.first_failed)
        if ended_by in (None, signal.SIGABRT):
            noted = rank_failures.first_cause(self.folder, self.number)
            own = said and not rank_failures.is_elsewhere(said)
            if own or (said and noted is None and ended_by is None):
                return Failure(said, self.folder.log(self.number, 0))
            if noted is not None:
                reason, rank = str(noted), noted.rank
        self._say(Status.FAILED, reason)
        return Failure(reason, self.folder.log(self.number, rank))

    def stopped(self) -> None:
        """Mark the attempt as interrupted in the journal, unless the journal has its end already."""
        if self._said() is Status.RUNNING:
            self._say(Status.INTERRUPTED, "killed before it could save a checkpoint")

    def _said(self) -> Status:
        progress = self.tail.poll()
        return progress.status if progress.attempt == self.number else Status.RUNNING

    def _say(self, status: Status, reason: str) -> None:
        with JournalWriter(self.folder.journal, self.number) as journal:
            journal.end(status, reason)
