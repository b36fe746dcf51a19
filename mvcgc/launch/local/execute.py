"""Executes a graph on this machine: as many stages at once as its cores and GPUs allow.

One loop looks at everything: the processes it started, the stages that other executors run, the stages that
can start.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.errors import UserError
from mvcgc.launch.display import Display, make_display, start_line
from mvcgc.launch.executor import Executor, TrackedStage
from mvcgc.launch.local.attempt import Attempt
from mvcgc.launch.local.machine import Capacity, ResourcePool, Share
from mvcgc.launch.report import Failure, Report
from mvcgc.launch.stop import StopRequests
from mvcgc.launch.worklist import make_worklist
from mvcgc.plan import Action, Graph, Stage, Verdict, judge, newest_checkpoint
from mvcgc.runs.journal import Tail
from mvcgc.runs.lock import Owner
from mvcgc.runs.state import valid_done

COMMAND = (sys.executable, "-m", "mvcgc.stages")
# How often the loop looks at its processes.
LOOK_EVERY_S = 0.1
# How long processes may take to save a checkpoint once they have been asked to stop.
STOP_GRACE_S = 120.0
# A stage that keeps being interrupted is resumed at most this often.
MAX_RESUMES = 10


def execute(
    graph: Graph,
    root: Path,
    *,
    purpose: str = "",
    capacity: Capacity | None = None,
    display: Display | None = None,
    command: Sequence[str] = COMMAND,
) -> Report:
    """Bring every stage of ``graph`` that is needed to its DONE.json.

    SIGINT, SIGTERM and SIGHUP stop it; running stages save checkpoints first.

    Args:
        graph: the stages, with their parents.
        root: folder of all runs.
        purpose: ids of the sweeps, shown to other executors that wait for the same stages.
        capacity: cores and GPUs to use, by default all of this machine.
        display: shows progress, by default on stderr.
        command: starts one rank; gets the stage's folder as its last argument.

    Raises:
        UserError: before anything starts, if a stage cannot run on this machine at all.
    """
    pool = ResourcePool(capacity or Capacity.here())
    verdicts = judge(graph, root)
    for key, stage in graph.stages.items():
        if verdicts[key].action is Action.SUBMIT:
            assert stage.dataset.manifest is not None, f"{stage.dataset.name} has not been scanned"
            pool.check(stage)
    with StopRequests() as stop, display or make_display(graph) as shown:
        executor = LocalExecutor(
            graph=graph,
            root=root.absolute(),
            purpose=purpose,
            display=shown,
            stop=stop,
            look_every_s=LOOK_EVERY_S,
            pool=pool,
            command=command,
        )
        try:
            executor.sort(verdicts)
            executor.run()
        finally:
            executor.abandon()
    return executor.report


@dataclass(kw_only=True)
class LocalExecutor(Executor):
    """Runs stages as processes of this machine.

    Attributes:
        running: attempts that this executor started, by stage id.
        awaited: stages that other executors run, by stage id.
        resumes: how often an interrupted stage was resumed, by stage id.
    """

    pool: ResourcePool
    command: Sequence[str]
    running: dict[str, Attempt] = field(default_factory=dict)
    awaited: dict[str, TrackedStage] = field(default_factory=dict)
    resumes: dict[str, int] = field(default_factory=dict)

    def sort(self, verdicts: Mapping[str, Verdict]) -> None:
        """Sort the graph's stages into done, awaited and pending."""
        worklist = make_worklist(self.graph, verdicts, self.root, self.display.say)
        self.report.done, self.pending = worklist.done, worklist.pending
        for key, reason in worklist.attached.items():
            self._await(self.graph.stages[key])
            self.display.say(f"{self.graph.stages[key].name} is awaited: {reason}")

    def abandon(self) -> None:
        """Leave no process and no lock behind, however the loop ended."""
        for attempt in self.running.values():
            attempt.ranks.kill()
            attempt.folder.release()
        self.running.clear()

    @property
    def _active(self) -> bool:
        return bool(self.running or self.awaited)

    def _turn(self) -> bool:
        if self.stop.count:
            self._stop_all()
            return False
        for attempt in list(self.running.values()):
            if attempt.ranks.poll():
                self._ended(attempt)
        self._start_ready()
        if self._time_to_read():
            for attempt in self.running.values():
                self.display.running(attempt.stage, attempt.tail.poll(), elsewhere=False)
            for awaited in list(self.awaited.values()):
                self._look_at(awaited)
        return True

    def _start_ready(self) -> None:
        for stage in list(self.pending.values()):
            if self.pool.exhausted:
                return
            if all(parent.id in self.report.done for parent in stage.parents.values()):
                share = self.pool.take(stage)
                if share is not None:
                    self._start(stage, share)

    def _start(self, stage: Stage, share: Share) -> None:
        folder = stage.folder(self.root)
        started = False
        try:
            if self._claim(stage):
                del self.pending[stage.id]
                from_step = newest_checkpoint(folder)
                attempt = self.running[stage.id] = Attempt.start(stage, self.root, share, self.command)
                started = True
                self.display.say(start_line(stage, attempt.number, from_step, share))
        finally:
            if not started:
                self.pool.give_back(share)
                folder.release()

    def _ended(self, attempt: Attempt) -> None:
        stage = attempt.stage
        done = valid_done(attempt.folder)
        if done is not None:
            self._finish_ours(stage, done, attempt.seconds)
        elif attempt.ranks.checkpointed and self.resumes.get(stage.id, 0) < MAX_RESUMES:
            self.resumes[stage.id] = self.resumes.get(stage.id, 0) + 1
            self.pending[stage.id] = stage
            self.display.say(f"{stage.name} was interrupted")
        else:
            self._fail(stage, attempt.failure())
        self._drop(attempt)

    def _drop(self, attempt: Attempt) -> None:
        attempt.folder.release()
        self.pool.give_back(attempt.share)
        del self.running[attempt.stage.id]
        self.display.over(attempt.stage)

    def _attach(self, stage: Stage, owner: Owner) -> None:
        del self.pending[stage.id]
        self._await(stage)

    def _await(self, stage: Stage) -> None:
        folder = stage.folder(self.root)
        self.awaited[stage.id] = TrackedStage(stage=stage, folder=folder, tail=Tail(folder.journal))

    def _forget(self, stage: Stage) -> bool:
        return self.pending.pop(stage.id, None) is not None

    def _look_at(self, awaited: TrackedStage) -> None:
        stage, owner = awaited.stage, awaited.folder.owner
        progress = awaited.tail.poll()
        if owner is not None and not owner.provably_dead:
            self.display.running(stage, progress, elsewhere=True)
            return
        del self.awaited[stage.id]
        self.display.over(stage)
        if valid_done(awaited.folder) is not None:
            self._finish_elsewhere(stage)
        elif awaited.failed:
            progress = awaited.tail.progress
            self._fail(stage, Failure(progress.reason, awaited.folder.log(progress.attempt, 0)))
        else:
            self.display.say(f"{stage.name}: previous owner stopped, taking over")
            self._take_over(stage)

    def _take_over(self, stage: Stage) -> None:
        try:
            self.pool.check(stage)
        except UserError as error:
            self._fail(stage, Failure(str(error), None))
        else:
            self.pending[stage.id] = stage

    def _stop_all(self) -> None:
        """Ask the processes for checkpoints and wait for their ends; kill them on a second signal."""
        self.report.stopped_by = self.stop.first
        if self.running:
            names = ", ".join(attempt.stage.name for attempt in self.running.values())
            self.display.say(f"stopping {names}: waiting for checkpoints (once more to kill)")
        for attempt in self.running.values():
            attempt.ranks.ask_to_stop()
        asked, deadline = self.stop.count, time.monotonic() + STOP_GRACE_S
        while self.running:
            for attempt in list(self.running.values()):
                if self.stop.count > asked or time.monotonic() > deadline:
                    attempt.ranks.kill()
                if attempt.ranks.poll():
                    self._stopped(attempt)
            self.display.overall(len(self.report.done))
            time.sleep(LOOK_EVERY_S)
        self.display.say("stopped; the same command resumes from here")

    def _stopped(self, attempt: Attempt) -> None:
        done = valid_done(attempt.folder)
        if done is not None:
            self._finish_ours(attempt.stage, done, attempt.seconds)
        else:
            attempt.stopped()
        self._drop(attempt)
