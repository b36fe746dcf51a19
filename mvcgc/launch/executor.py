"""Base of the local and the SLURM executor: the state of a graph's stages, and the loop over it."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.launch.display import Display, failed_line, finished_line
from mvcgc.launch.report import Failure, Report
from mvcgc.launch.stop import StopRequests
from mvcgc.plan import Graph, Stage
from mvcgc.runs.folder import Done, StageFolder
from mvcgc.runs.journal import Status, Tail
from mvcgc.runs.lock import Owner
from mvcgc.runs.state import valid_done

# Jobs and other executors write their journals every two seconds.
READ_EVERY_S = 1.0


@dataclass(kw_only=True)
class TrackedStage:
    """A stage that runs without this process doing more.

    Attributes:
        since_ms: wall-clock time from which it is tracked; earlier attempts in its journal do not count.
    """

    stage: Stage
    folder: StageFolder
    tail: Tail
    since_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def failed(self) -> bool:
        """True if the journal says that the stage failed while it was tracked."""
        progress = self.tail.poll()
        return progress.status is Status.FAILED and progress.ts_ms >= self.since_ms


@dataclass(kw_only=True)
class Executor(ABC):
    """Base of the executors: runs a graph until nothing is left to do or the user stops it.

    A stage is done when its DONE.json is valid, whatever exit codes or queues say. A failure blocks only the
    stages that build on it. The lock of a stage lets one of any number of executors run it; the others wait
    for its result.
    """

    graph: Graph
    root: Path
    purpose: str
    display: Display
    stop: StopRequests
    look_every_s: float
    report: Report = field(default_factory=Report)
    pending: dict[str, Stage] = field(default_factory=dict)
    _read_at: float = field(default=0.0, init=False)

    def run(self) -> None:
        """Take turns until every stage is done, failed or blocked, or a turn ends the execution early."""
        while self.pending or self._active:
            self.display.overall(len(self.report.done))
            if not self._turn():
                return
            if self.pending or self._active:
                time.sleep(self.look_every_s)
        if self.report.failed:
            failed, blocked = len(self.report.failed), len(self.report.blocked)
            self.display.say(
                f"{failed} failed, {blocked} blocked by that: the same command runs just these again"
            )

    @property
    @abstractmethod
    def _active(self) -> bool:
        """True while a stage runs or is waited for."""

    @abstractmethod
    def _turn(self) -> bool:
        """Start the stages that can start and look at those that run; return False to end early."""

    @abstractmethod
    def _attach(self, stage: Stage, owner: Owner) -> None:
        """Wait for a pending stage that ``owner`` runs."""

    @abstractmethod
    def _forget(self, stage: Stage) -> bool:
        """Stop waiting for a stage whose parent failed; return False if it was not waited for."""

    def _claim(self, stage: Stage) -> bool:
        """Lock a pending stage; return False if another executor runs it or has finished it."""
        folder = stage.folder(self.root)
        if not folder.try_lock(self.purpose):
            owner = folder.owner
            if owner is not None:  # else it was released just now: stays pending
                self._attach(stage, owner)
                self.display.say(f"{stage.name} is awaited: run by {owner.describe()}")
            return False
        if valid_done(folder) is not None:  # finished by another executor since the plan
            folder.release()
            del self.pending[stage.id]
            self._finish_elsewhere(stage)
            return False
        return True

    def _time_to_read(self) -> bool:
        """Return True once every `READ_EVERY_S` seconds."""
        now = time.monotonic()
        if now - self._read_at < READ_EVERY_S:
            return False
        self._read_at = now
        return True

    def _finish_ours(self, stage: Stage, done: Done, seconds: float) -> None:
        """Record a stage that this executor ran."""
        self.report.ran.add(stage.id)
        self._finish(stage, finished_line(stage, done, seconds))

    def _finish_elsewhere(self, stage: Stage) -> None:
        """Record a stage that another executor ran."""
        self._finish(stage, f"{stage.name} done, run elsewhere")

    def _finish(self, stage: Stage, line: str) -> None:
        self.report.done.add(stage.id)
        self.display.overall(len(self.report.done))
        self.display.say(line)

    def _fail(self, stage: Stage, failure: Failure) -> None:
        """Record a failure, and block every stage that builds on it."""
        self.report.failed[stage.id] = failure
        self.display.say(failed_line(stage, failure))
        affected = [stage]
        while affected:
            for child in self.graph.children[affected.pop().id]:
                if self._forget(child):
                    self.report.blocked[child.id] = stage.id
                    self.display.say(f"{child.name} cannot run: {stage.name} failed")
                    affected.append(child)
