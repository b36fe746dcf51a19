"""Executes a graph on this machine: as many stages at once as its cores and GPUs allow.

One loop looks at everything: at the ranks it started, at the stages that other executors run, at what can
start now. A stage is finished when its DONE.json holds true, whatever exit codes say. A failure blocks only
what builds on it. Any number of executors may share a root: the lock of a stage lets one of them run it, and
the others wait for its result.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.errors import UserError
from mvcgc.identity import StageFolder
from mvcgc.journal import Status, Tail
from mvcgc.launch.display import Display, failed_line, finished_line, make_display, start_line
from mvcgc.launch.local.attempt import Attempt
from mvcgc.launch.local.machine import Capacity, ResourcePool, Share
from mvcgc.launch.report import Failure, Report
from mvcgc.launch.stop import StopRequests
from mvcgc.launch.worklist import make_worklist
from mvcgc.plan import Action, Graph, Stage, Verdict, judge, newest_checkpoint
from mvcgc.stages.state import valid_done

COMMAND = (sys.executable, "-m", "mvcgc.stages")
# How often the loop looks at its processes; and at files, which others write every two seconds anyway.
LOOK_EVERY_S = 0.1
READ_EVERY_S = 1.0
# How long ranks may take to save a checkpoint once they have been asked to stop.
STOP_GRACE_S = 120.0
# A stage that something else keeps interrupting is taken up again at most so often.
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
    """Bring every stage of ``graph`` that is needed to its DONE.json, and say what came of it.

    ``purpose`` (the sweep's id) is shown to others who wait for the same stages. ``command`` gets a stage's
    folder as its last argument, once per rank. SIGINT, SIGTERM and SIGHUP end it in order. Raises UserError
    before anything starts if a stage cannot run here at all.
    """
    pool = ResourcePool(capacity or Capacity.here())
    verdicts = judge(graph, root)
    for key, stage in graph.stages.items():
        if verdicts[key].action is Action.SUBMIT:
            assert stage.dataset.manifest is not None, f"{stage.dataset.name} has not been scanned"
            pool.check(stage)
    with StopRequests() as stop, display or make_display(graph) as shown:
        executor = _Executor(graph, root.absolute(), purpose, pool, shown, command, stop)
        try:
            executor.sort(verdicts)
            executor.run()
        finally:
            executor.abandon()
    return executor.report


@dataclass
class _Awaited:
    """A stage that another executor runs; ``since_ms`` by the wall clock."""

    stage: Stage
    folder: StageFolder
    tail: Tail
    since_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)


@dataclass
class _Executor:
    graph: Graph
    root: Path
    purpose: str
    pool: ResourcePool
    display: Display
    command: Sequence[str]
    stop: StopRequests
    report: Report = field(default_factory=Report)
    pending: dict[str, Stage] = field(default_factory=dict)
    running: dict[str, Attempt] = field(default_factory=dict)
    awaited: dict[str, _Awaited] = field(default_factory=dict)
    resumes: dict[str, int] = field(default_factory=dict)
    read_at: float = 0.0

    def sort(self, verdicts: dict[str, Verdict]) -> None:
        """Into what is finished, what others run, and what is to be done."""
        worklist = make_worklist(self.graph, verdicts, self.root, self.display.say)
        self.report.done, self.pending = worklist.done, worklist.pending
        for key, reason in worklist.attached.items():
            self._await(self.graph.stages[key], reason)

    def run(self) -> None:
        """Until nothing is left to do, or the user stops it."""
        while self.pending or self.running or self.awaited:
            if self.stop.count:
                self._stop_all()
                return
            for attempt in list(self.running.values()):
                if attempt.ranks.poll():
                    self._ended(attempt)
            self._start_what_can_start()
            self._look_at_files()
            self.display.overall(len(self.report.done))
            if self.running or self.awaited:
                time.sleep(LOOK_EVERY_S)
        if self.report.failed:
            failed, blocked = len(self.report.failed), len(self.report.blocked)
            self.display.say(
                f"{failed} failed, {blocked} blocked by that: the same command runs just these again"
            )

    def abandon(self) -> None:
        """Leave nothing behind, however the loop ended: no process, no lock."""
        for attempt in self.running.values():
            attempt.ranks.kill()
            attempt.folder.release()
        self.running.clear()

    def _ended(self, attempt: Attempt) -> None:
        stage = attempt.stage
        done = valid_done(attempt.folder)
        if done is not None:
            self.report.ran.add(stage.id)
            self._finish(stage, finished_line(stage, done, time.monotonic() - attempt.started))
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

    def _finish(self, stage: Stage, line: str) -> None:
        self.report.done.add(stage.id)
        self.display.overall(len(self.report.done))
        self.display.say(line)

    def _fail(self, stage: Stage, failure: Failure) -> None:
        self.report.failed[stage.id] = failure
        self.display.say(failed_line(stage, failure))
        affected = [stage]
        while affected:
            for child in self.graph.children[affected.pop().id]:
                if self.pending.pop(child.id, None) is not None:
                    self.report.blocked[child.id] = stage.id
                    self.display.say(f"{child.name} cannot run: {stage.name} failed")
                    affected.append(child)

    def _await(self, stage: Stage, reason: str) -> None:
        folder = stage.folder(self.root)
        self.awaited[stage.id] = _Awaited(stage, folder, Tail(folder.journal))
        self.display.say(f"{stage.name} is awaited: {reason}")

    def _look_at_awaited(self, awaited: _Awaited) -> None:
        stage, owner = awaited.stage, awaited.folder.owner
        progress = awaited.tail.poll()
        if owner is not None and not owner.provably_dead:
            self.display.running(stage, progress, elsewhere=True)
            return
        del self.awaited[stage.id]
        self.display.over(stage)
        if valid_done(awaited.folder) is not None:
            self._finish(stage, f"{stage.name} done, run elsewhere")
        elif progress.status is Status.FAILED and progress.ts_ms >= awaited.since_ms:
            self._fail(stage, Failure(progress.reason, awaited.folder.log(progress.attempt, 0)))
        else:
            self.display.say(f"{stage.name} was given up by who ran it")
            self.pending[stage.id] = stage
            try:
                self.pool.check(stage)
            except UserError as error:
                del self.pending[stage.id]
                self._fail(stage, Failure(str(error), None))

    def _look_at_files(self) -> None:
        now = time.monotonic()
        if now - self.read_at < READ_EVERY_S:
            return
        self.read_at = now
        for attempt in self.running.values():
            self.display.running(attempt.stage, attempt.tail.poll(), elsewhere=False)
        for awaited in list(self.awaited.values()):
            self._look_at_awaited(awaited)

    def _start_what_can_start(self) -> None:
        for stage in list(self.pending.values()):
            if self.pool.exhausted:
                return
            if all(parent.id in self.report.done for parent in stage.parents.values()):
                share = self.pool.take(stage)
                if share is not None:
                    self._start(stage, share)

    def _start(self, stage: Stage, share: Share) -> None:
        folder = stage.folder(self.root)
        del self.pending[stage.id]
        started = False
        try:
            if not folder.try_lock(self.purpose):
                owner = folder.owner
                self._await(stage, f"run by {owner.describe()}" if owner else "just given back")
            elif valid_done(folder) is not None:  # finished by another since it was judged
                self._finish(stage, f"{stage.name} done, run elsewhere")
            else:
                from_step = newest_checkpoint(folder)
                attempt = self.running[stage.id] = Attempt.start(stage, self.root, share, self.command)
                started = True
                self.display.say(start_line(stage, attempt.number, from_step, share))
        finally:
            if not started:
                self.pool.give_back(share)
                folder.release()

    def _stop_all(self) -> None:
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
        self.display.say("stopped; the same command goes on from here")

    def _stopped(self, attempt: Attempt) -> None:
        done = valid_done(attempt.folder)
        if done is not None:
            self.report.ran.add(attempt.stage.id)
            seconds = time.monotonic() - attempt.started
            self._finish(attempt.stage, finished_line(attempt.stage, done, seconds))
        else:
            attempt.stopped()
        self._drop(attempt)
