"""Executes a graph as jobs of a SLURM cluster: one per stage, with native dependencies between them.

Everything is submitted at once; the jobs need this process no more, it only follows them. A stage is finished
when its DONE.json holds true, whatever the queue says. The lock of a stage belongs to its job, so that any
number of executors, here or elsewhere, see the same job and wait for it.
"""

import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.identity import Done, StageFolder
from mvcgc.journal import Status, Tail
from mvcgc.launch.display import Display, failed_line, finished_line, make_display
from mvcgc.launch.report import Failure, Report
from mvcgc.launch.slurm import queue
from mvcgc.launch.slurm.batch_script import RANK
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.launch.slurm.liveness import EndTracker
from mvcgc.launch.slurm.submit import AT_ONCE, ComeBackLater, Submission, Submitter
from mvcgc.launch.slurm.tracked_job import TrackedJob, job_id
from mvcgc.launch.stop import StopRequests
from mvcgc.launch.worklist import make_worklist
from mvcgc.plan import Graph, Stage, judge, ongoing
from mvcgc.stages.state import valid_done

LOOK_EVERY_S = 0.25
READ_EVERY_S = 1.0
# Every look at the queue costs the cluster's controller something, which all its users share.
ASK_EVERY_S = 3.0
# After a refusal for want of room in the queue.
LATER_S = 10.0
# Ends of a job that are not the stage's: its batch script could not put it back itself.
CUT_OFF = {queue.JobState.TIMEOUT, queue.JobState.NODE_FAIL, queue.JobState.PREEMPTED}


def execute(
    graph: Graph,
    root: Path,
    settings: SlurmConfig,
    *,
    purpose: str = "",
    code: Path | None = None,
    module: str = RANK,
    display: Display | None = None,
) -> Report:
    """Submit every stage of ``graph`` that is needed and follow the jobs; say what came of it.

    ``purpose`` (the sweeps' ids) is shown to others who wait for the same stages; ``code`` is a copy of the
    code that the jobs run from, ``module`` what their ranks run. SIGINT, SIGTERM and SIGHUP end it and leave
    the jobs; so does ``settings.wait=False`` once all are submitted. Raises UserError if sbatch refuses,
    QueueUnavailable.
    """
    queue.cluster_name()
    root = root.absolute()
    verdicts = judge(graph, root)
    with StopRequests() as stop, display or make_display(graph) as shown:
        submitter = Submitter(root, settings, code, module)
        executor = _Executor(graph, root, purpose, submitter, settings, shown, stop)
        worklist = make_worklist(graph, verdicts, root, shown.say)
        executor.report.done = worklist.done
        # What others run is found by its lock, like everything else.
        unfinished = worklist.pending.keys() | worklist.attached.keys()
        executor.pending = {key: stage for key, stage in graph.stages.items() if key in unfinished}
        executor.run()
    return executor.report


@dataclass
class _Executor:
    graph: Graph
    root: Path
    purpose: str
    submitter: Submitter
    settings: SlurmConfig
    display: Display
    stop: StopRequests
    report: Report = field(default_factory=Report)
    pending: dict[str, Stage] = field(default_factory=dict)
    tracked: dict[str, TrackedJob] = field(default_factory=dict)
    ends: EndTracker = field(default_factory=EndTracker)
    cut_off: Counter[str] = field(default_factory=Counter)
    later_at: float = 0.0
    read_at: float = 0.0
    asked_at: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Until nothing is left to do, or to be waited for."""
        while self.pending or self.tracked:
            self.display.overall(len(self.report.done))
            if self.stop.count or (self.pending and self._cancelled):
                self.report.stopped_by = self.stop.first or signal.SIGTERM
                self._leave()
                return
            self._submit_what_can_be()
            if not self.settings.wait and not self._more_to_submit:
                self._leave()
                return
            self._look()
            if self.pending or self.tracked:
                time.sleep(LOOK_EVERY_S)
        self.display.overall(len(self.report.done))
        if self.report.failed:
            failed, blocked = len(self.report.failed), len(self.report.blocked)
            self.display.say(
                f"{failed} failed, {blocked} blocked by that: the same command runs just these again"
            )

    @property
    def _cancelled(self) -> bool:
        """Whether ``mvcgc cancel`` has ended all the sweeps that this is for."""
        sweeps = self.purpose.split(",") if self.purpose else []
        return sweeps != [] and not any(ongoing.is_ongoing(self.root, sweep) for sweep in sweeps)

    @property
    def _more_to_submit(self) -> bool:
        """Whether anything that is pending may come to have a job without waiting for the end of a stage."""
        return any(
            all(parent.id not in self.tracked or self.tracked[parent.id].settles for parent in parents)
            for parents in (stage.parents.values() for stage in self.pending.values())
        )

    def _submit_what_can_be(self) -> None:
        """Generation by generation: what waits for a job needs its id."""
        tried: set[str] = set()
        while ready := [
            stage for stage in self.pending.values() if stage.id not in tried and self._is_ready(stage)
        ]:
            for start in range(0, len(ready), AT_ONCE):
                if self.stop.count or time.monotonic() < self.later_at:
                    return
                some = ready[start : start + AT_ONCE]
                tried.update(stage.id for stage in some)
                self._submit([order for stage in some if (order := self._take(stage)) is not None])

    def _is_ready(self, stage: Stage) -> bool:
        """Whether a stage may be submitted: what it builds on is finished, or has a job to wait for."""
        parents = [parent.id for parent in stage.parents.values() if parent.id not in self.report.done]
        return all(parent in self.tracked and self.tracked[parent].job for parent in parents)

    def _take(self, stage: Stage) -> Submission | None:
        """Lock a stage that is to be submitted; None if it is finished or another has it."""
        folder = stage.folder(self.root)
        before = folder.owner
        if not folder.try_lock(self.purpose):
            self._attach(stage, folder)
            return None
        if valid_done(folder) is not None:  # finished by another since it was judged
            folder.release()
            del self.pending[stage.id]
            self._finish(stage, f"{stage.name} done, run elsewhere")
            return None
        parents = [self.tracked[p.id] for p in stage.parents.values() if p.id in self.tracked]
        after = list(dict.fromkeys(parent.job for parent in parents))
        return Submission(stage, after, may_exist=before is not None)

    def _submit(self, orders: Sequence[Submission]) -> None:
        for order, job in zip(orders, self.submitter.submit(orders), strict=True):
            if isinstance(job, ComeBackLater):
                self.display.say(f"the queue is full: {job}")
                self.later_at = time.monotonic() + LATER_S
                continue
            stage, folder = order.stage, order.stage.folder(self.root)
            del self.pending[stage.id]
            self.tracked[stage.id] = TrackedJob(stage, folder, Tail(folder.journal), job, ours=True)
            waits = f", after {', '.join(order.after)}" if order.after else ""
            self.display.say(f"{stage.name} submitted as job {job}{waits}")

    def _attach(self, stage: Stage, folder: StageFolder) -> None:
        owner = folder.owner
        if owner is None:  # given back just now: next time
            return
        del self.pending[stage.id]
        tail = Tail(folder.journal)
        self.tracked[stage.id] = TrackedJob(stage, folder, tail, job_id(owner), ours=False, owner=owner)
        self.display.say(f"{stage.name} is awaited: run by {owner.describe()}")

    def _look(self) -> None:
        now = time.monotonic()
        if now - self.read_at < READ_EVERY_S:
            return
        self.read_at = now
        jobs = None
        if now - self.asked_at >= ASK_EVERY_S:
            self.asked_at = now
            with suppress(queue.QueueUnavailable):  # its controller restarts, perhaps: ask again later
                jobs = queue.jobs([tracked.job for tracked in self.tracked.values() if tracked.job])
        for tracked in list(self.tracked.values()):
            if tracked.stage.id in self.tracked:  # a failure takes those that build on it along
                self._look_at(tracked, jobs)

    def _look_at(self, tracked: TrackedJob, jobs: dict[str, queue.Job] | None) -> None:
        progress = tracked.tail.poll()
        done = valid_done(tracked.folder) if tracked.folder.done.exists() else None
        if done is not None:
            self._done(tracked, done)
            return
        if progress.status is Status.RUNNING:
            self.display.running(tracked.stage, progress, elsewhere=not tracked.ours)
        if not tracked.job:
            if tracked.owner_is_gone():
                self._ended(tracked, "given up by who ran it")
        elif jobs is not None:
            job = jobs.get(tracked.job)
            if job is not None:
                self._tell(tracked, job)
            if tracked.job_is_over(job, self.ends):
                how = f"job {tracked.job} " + (f"ended as {job.raw}" if job else "is gone")
                self._ended(tracked, how, job is not None and job.state in CUT_OFF)

    def _tell(self, tracked: TrackedJob, job: queue.Job) -> None:
        """Say what is new, and do not let a job that was put back wait for nothing."""
        if tracked.may_start_again(job):
            with suppress(queue.QueueUnavailable):  # it starts by itself in two minutes
                queue.start_now(job.id)
        news = tracked.news(job)
        if news:
            self.display.say(f"{tracked.stage.name}: {news}")

    def _ended(self, tracked: TrackedJob, how: str, cut_off: bool = False) -> None:
        """Its job, or who ran it, is gone; in most cases without a result."""
        done = valid_done(tracked.folder)
        if done is not None:
            self._done(tracked, done)
            return
        self._drop(tracked)
        stage, attempt = tracked.stage, tracked.tail.progress.attempt
        log = tracked.folder.log(attempt, 0) if attempt else None
        self.cut_off[stage.id] += cut_off
        # Its job was cancelled with that of a parent which is taken up again.
        orphaned = any(parent.id not in self.report.done for parent in stage.parents.values())
        if tracked.failed and not cut_off:
            self._fail(stage, Failure(tracked.tail.progress.reason, log))
        elif (
            not tracked.ours or orphaned or (cut_off and self.cut_off[stage.id] <= self.settings.max_retries)
        ):
            self.display.say(f"{stage.name}: {how}")
            self.pending[stage.id] = stage
        else:
            self._fail(stage, Failure(how, log))

    def _done(self, tracked: TrackedJob, done: Done) -> None:
        stage, begin_ms = tracked.stage, tracked.tail.progress.begin_ms
        self._drop(tracked)
        if tracked.ours:
            self.report.ran.add(stage.id)
            self._finish(stage, finished_line(stage, done, (done.finished_ms - begin_ms) / 1000))
        else:
            self._finish(stage, f"{stage.name} done, run elsewhere")

    def _drop(self, tracked: TrackedJob) -> None:
        del self.tracked[tracked.stage.id]
        self.display.over(tracked.stage)

    def _finish(self, stage: Stage, line: str) -> None:
        self.report.done.add(stage.id)
        self.display.overall(len(self.report.done))
        self.display.say(line)

    def _fail(self, stage: Stage, failure: Failure) -> None:
        """Mark what builds on it; SLURM itself cancels their jobs."""
        self.report.failed[stage.id] = failure
        self.display.say(failed_line(stage, failure))
        affected = [stage]
        while affected:
            for child in self.graph.children[affected.pop().id]:
                tracked = self.tracked.get(child.id)
                if tracked is not None:
                    self._drop(tracked)
                elif self.pending.pop(child.id, None) is None:
                    continue
                self.report.blocked[child.id] = stage.id
                self.display.say(f"{child.name} cannot run: {stage.name} failed")
                affected.append(child)

    def _leave(self) -> None:
        """Say what goes on without this process."""
        self.report.left = {key: tracked.job for key, tracked in self.tracked.items()}
        ours = sum(tracked.ours for tracked in self.tracked.values())
        others = len(self.tracked) - ours
        self.display.say(f"{ours} jobs go on by themselves, {others} stages are run by others")
        if self.pending:
            names = ", ".join(stage.name for stage in self.pending.values())
            self.display.say(
                f"not submitted: {names}; the same command does it once what they wait for is done"
            )
