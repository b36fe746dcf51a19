"""One attempt at one stage on this machine: what it is started with, and what came of it."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.identity import StageFolder
from mvcgc.journal import JournalWriter, Status, Tail
from mvcgc.launch.machine import Share
from mvcgc.launch.ranks import Ranks
from mvcgc.launch.report import Failure
from mvcgc.plan import Stage
from mvcgc.stages import peers
from mvcgc.stages.state import next_attempt


@dataclass
class Attempt:
    """The ranks of a stage that was started here; ``started`` by the monotonic clock."""

    stage: Stage
    folder: StageFolder
    number: int
    share: Share
    ranks: Ranks
    tail: Tail
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, stage: Stage, root: Path, share: Share, command: Sequence[str]) -> "Attempt":
        """Write the stage's configuration and start its ranks. The caller holds the stage's lock.

        The lock is made to stand for the ranks too.
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
        ranks = Ranks.start([*command, str(folder.path)], logs, environment)
        try:
            folder.lock.extend(ranks.pids)
        except BaseException:
            ranks.kill()
            raise
        return cls(stage, folder, number, share, ranks, Tail(folder.journal))

    def failure(self) -> Failure:
        """Why it failed, once all ranks have ended; the journal is made to say so, too.

        The first rank that failed counts. Where a signal ended it, that is the reason; but for SIGABRT, by
        which NCCL ends ranks that wait for one that has failed and has not ended. Else its own words are:
        what rank 0 said at its end, or another rank's note.
        """
        reason, rank = self.ranks.what_happened()
        said = self.tail.progress.reason if self._said() is Status.FAILED else ""
        ended_by = self.ranks.signal_of(self.ranks.first_failed)
        if ended_by in (None, signal.SIGABRT):
            noted = peers.first_cause(self.folder, self.number)
            own = said and not peers.is_elsewhere(said)
            if own or (said and noted is None and ended_by is None):
                return Failure(said, self.folder.log(self.number, 0))
            if noted is not None:
                reason, rank = str(noted), noted.rank
        self._say(Status.FAILED, reason)
        return Failure(reason, self.folder.log(self.number, rank))

    def stopped(self) -> None:
        """Have the journal say that it was interrupted, unless it ended by itself."""
        if self._said() is Status.RUNNING:
            self._say(Status.INTERRUPTED, "killed before it could save a checkpoint")

    def _said(self) -> Status:
        progress = self.tail.poll()
        return progress.status if progress.attempt == self.number else Status.RUNNING

    def _say(self, status: Status, reason: str) -> None:
        with JournalWriter(self.folder.journal, self.number) as journal:
            journal.end(status, reason)
