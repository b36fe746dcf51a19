"""Executes a graph as jobs of a SLURM cluster: one per stage, with native dependencies between them.

All jobs are submitted at once and run without this process, which only follows them. The lock of a stage
belongs to its job, so any number of executors, here or elsewhere, see the same job and wait for it.
"""

import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.launch.display import Display, make_display
from mvcgc.launch.executor import Executor
from mvcgc.launch.report import Failure, Report
from mvcgc.launch.slurm import queue
from mvcgc.launch.slurm.batch_script import RANK
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.launch.slurm.liveness import EndTracker
from mvcgc.launch.slurm.submit import AT_ONCE, ComeBackLater, Submission, Submitter
from mvcgc.launch.slurm.tracked_job import TrackedJob, job_id
from mvcgc.launch.stop import StopRequests
from mvcgc.launch.worklist import make_worklist
from mvcgc.plan import Graph, Stage, active_sweeps, judge
from mvcgc.runs.folder import Done
from mvcgc.runs.journal import Status, Tail
from mvcgc.runs.lock import Owner
from mvcgc.runs.state import valid_done

LOOK_EVERY_S = 0.25
# Each query loads the cluster's controller, which all its users share.
ASK_EVERY_S = 3.0
# Wait this long after sbatch refused a job because the queue is full.
LATER_S = 10.0
# Ends that are no failure of the stage, and after which the batch script could not requeue the job itself.
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
    """Submit every stage of ``graph`` that is needed and follow the jobs.

    Ends early, and leaves the jobs to run, on SIGINT, SIGTERM and SIGHUP, and with ``settings.wait=False``
    once all jobs are submitted.

    Args:
        graph: the stages, with their parents.
        root: folder of all runs, on a file system that the nodes share.
        settings: of the jobs, and of this execution.
        purpose: ids of the sweeps, shown to other executors that wait for the same stages.
        code: folder with a copy of the code to run the jobs from; None for the installed code.
        module: module that each rank runs.
        display: shows progress, by default on stderr.

    Raises:
        UserError: if sbatch refuses a job.
        QueueUnavailable: if SLURM does not answer.
    """
    queue.cluster_name()
    root = root.absolute()
    verdicts = judge(graph, root)
    with StopRequests() as stop, display or make_display(graph) as shown:
        worklist = make_worklist(graph, verdicts, root, shown.say)
        # Stages that others run are found by their locks, as pending ones.
        unfinished = worklist.pending.keys() | worklist.attached.keys()
        executor = SlurmExecutor(
            graph=graph,
            root=root,
            purpose=purpose,
            display=shown,
            stop=stop,
            look_every_s=LOOK_EVERY_S,
            report=Report(done=worklist.done),
            pending={key: stage for key, stage in graph.stages.items() if key in unfinished},
            submitter=Submitter(root, settings, code, module),
            settings=settings,
        )
        executor.run()
    return executor.report


@dataclass(kw_only=True)
class SlurmExecutor(Executor):
    """Runs stages as jobs of a cluster.

    Attributes:
        tracked: stages with a job, or run by other executors, by stage id.
        ends: what the cluster said of ended jobs.
        cut_off: how often a stage's job ended by a time limit, its node or preemption, by stage id.
    """

    submitter: Submitter
    settings: SlurmConfig
    tracked: dict[str, TrackedJob] = field(default_factory=dict)
    ends: EndTracker = field(default_factory=EndTracker)
    cut_off: Counter[str] = field(default_factory=Counter)
    _later_at: float = field(default=0.0, init=False)
    _asked_at: float = field(default_factory=time.monotonic, init=False)

    @property
    def _active(self) -> bool:
        return bool(self.tracked)

    def _turn(self) -> bool:
        if self.stop.count or (self.pending and self._cancelled):
            self.report.stopped_by = self.stop.first or signal.SIGTERM
            self._leave()
            return False
        self._submit_ready()
        if not self.settings.wait and not self._more_to_submit:
            self._leave()
            return False
        if self._time_to_read():
            self._look()
        return True

    @property
    def _cancelled(self) -> bool:
        """True once ``mvcgc cancel`` has ended all the sweeps of this execution."""
        sweeps = self.purpose.split(",") if self.purpose else []
        return sweeps != [] and not any(active_sweeps.is_ongoing(self.root, sweep) for sweep in sweeps)

    @property
    def _more_to_submit(self) -> bool:
        """True if a pending stage may get a job without waiting for the end of another stage."""
        return any(
            all(parent.id not in self.tracked or self.tracked[parent.id].settles for parent in parents)
            for parents in (stage.parents.values() for stage in self.pending.values())
        )

    def _submit_ready(self) -> None:
        """Submit generation by generation: a dependency needs the parent's job id."""
        tried: set[str] = set()
        while ready := [
            stage for stage in self.pending.values() if stage.id not in tried and self._is_ready(stage)
        ]:
            for start in range(0, len(ready), AT_ONCE):
                if self.stop.count or time.monotonic() < self._later_at:
                    return
                some = ready[start : start + AT_ONCE]
                tried.update(stage.id for stage in some)
                self._submit([submission for stage in some if (submission := self._lock(stage)) is not None])

    def _is_ready(self, stage: Stage) -> bool:
        """Return True if each parent of a stage is finished or has a job to depend on."""
        parents = [parent.id for parent in stage.parents.values() if parent.id not in self.report.done]
        return all(parent in self.tracked and self.tracked[parent].job for parent in parents)

    def _lock(self, stage: Stage) -> Submission | None:
        """Lock a stage to submit it; return None if another executor has it or has finished it."""
        before = stage.folder(self.root).owner
        if not self._claim(stage):
            return None
        parents = [self.tracked[p.id] for p in stage.parents.values() if p.id in self.tracked]
        after = list(dict.fromkeys(parent.job for parent in parents))
        return Submission(stage, after, may_exist=before is not None)

    def _submit(self, submissions: Sequence[Submission]) -> None:
        for submission, job in zip(submissions, self.submitter.submit(submissions), strict=True):
            if isinstance(job, ComeBackLater):
                self.display.say(f"the queue is full: {job}")
                self._later_at = time.monotonic() + LATER_S
                continue
            stage = submission.stage
            self._track(stage, job)
            waits = f", after {', '.join(submission.after)}" if submission.after else ""
            self.display.say(f"{stage.name} submitted as job {job}{waits}")

    def _attach(self, stage: Stage, owner: Owner) -> None:
        self._track(stage, job_id(owner), owner)

    def _track(self, stage: Stage, job: str, owner: Owner | None = None) -> None:
        del self.pending[stage.id]
        folder = stage.folder(self.root)
        self.tracked[stage.id] = TrackedJob(
            stage=stage, folder=folder, tail=Tail(folder.journal), job=job, owner=owner
        )

    def _look(self) -> None:
        jobs = None
        if time.monotonic() - self._asked_at >= ASK_EVERY_S:
            self._asked_at = time.monotonic()
            with suppress(queue.QueueUnavailable):  # the controller may be restarting: ask again later
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
                self._ended(tracked, "previous owner stopped")
        elif jobs is not None:
            job = jobs.get(tracked.job)
            if job is not None:
                self._report_news(tracked, job)
            if tracked.job_is_over(job, self.ends):
                how = f"job {tracked.job} " + (f"ended as {job.raw}" if job else "is gone")
                self._ended(tracked, how, job is not None and job.state in CUT_OFF)

    def _report_news(self, tracked: TrackedJob, job: queue.Job) -> None:
        """Print changes of a job's state, and start a requeued job that SLURM only holds back."""
        if tracked.may_start_again(job):
            with suppress(queue.QueueUnavailable):  # the job starts without this, two minutes later
                queue.start_now(job.id)
        news = tracked.news(job)
        if news:
            self.display.say(f"{tracked.stage.name}: {news}")

    def _ended(self, tracked: TrackedJob, how: str, cut_off: bool = False) -> None:
        """Handle the end of a job, or of the process that ran the stage: mostly without a result."""
        done = valid_done(tracked.folder)
        if done is not None:
            self._done(tracked, done)
            return
        self._drop(tracked)
        stage, attempt = tracked.stage, tracked.tail.progress.attempt
        log = tracked.folder.log(attempt, 0) if attempt else None
        self.cut_off[stage.id] += cut_off
        # SLURM cancels a stage's job with the job of its parent, which runs again here.
        orphaned = any(parent.id not in self.report.done for parent in stage.parents.values())
        retry = cut_off and self.cut_off[stage.id] <= self.settings.max_retries
        if tracked.failed and not cut_off:
            self._fail(stage, Failure(tracked.tail.progress.reason, log))
        elif not tracked.ours or orphaned or retry:
            self.display.say(f"{stage.name}: {how}")
            self.pending[stage.id] = stage
        else:
            self._fail(stage, Failure(how, log))

    def _done(self, tracked: TrackedJob, done: Done) -> None:
        begin_ms = tracked.tail.progress.begin_ms
        self._drop(tracked)
        if tracked.ours:
            self._finish_ours(tracked.stage, done, (done.finished_ms - begin_ms) / 1000)
        else:
            self._finish_elsewhere(tracked.stage)

    def _drop(self, tracked: TrackedJob) -> None:
        del self.tracked[tracked.stage.id]
        self.display.over(tracked.stage)

    def _forget(self, stage: Stage) -> bool:
        """Forget a stage, with or without a job: SLURM itself cancels the jobs of blocked stages."""
        tracked = self.tracked.get(stage.id)
        if tracked is not None:
            self._drop(tracked)
            return True
        return self.pending.pop(stage.id, None) is not None

    def _leave(self) -> None:
        """Report the jobs that run on without this process."""
        self.report.left = {key: tracked.job for key, tracked in self.tracked.items()}
        ours = sum(tracked.ours for tracked in self.tracked.values())
        others = len(self.tracked) - ours
        self.display.say(f"{ours} jobs continue on the cluster, {others} stages are run by other executors")
        if self.pending:
            names = ", ".join(stage.name for stage in self.pending.values())
            self.display.say(
                f"not submitted: {names}; rerun the same command once their parents have finished"
            )
