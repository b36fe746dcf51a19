"""A stage that runs, or will, without our doing more: what is known of its job, or of who else runs it."""

import time
from dataclasses import dataclass, field

from mvcgc.identity import StageFolder
from mvcgc.journal import Status, Tail
from mvcgc.launch.slurm.liveness import EndTracker, job_of
from mvcgc.launch.slurm.queue import Job, JobState
from mvcgc.lock import Owner
from mvcgc.plan import Stage

# What a job writes may show on another machine only after its end has.
SETTLE_S = 3.0
# A node refuses what it was told to end until its clock says a later second than then.
HELD_S = 5.0
# A process that holds a lock is about to hand it to a job within moments, or runs the stage itself.
HAND_OVER_S = 20.0


@dataclass
class TrackedJob:
    """``job`` is its id on this cluster, '' for what a process runs; ``ours`` if we submitted it.

    ``since_ms`` by the wall clock: what the journal says of earlier attempts does not count.
    """

    stage: Stage
    folder: StageFolder
    tail: Tail
    job: str
    ours: bool
    owner: Owner | None = None
    since_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    _over_at: float | None = None
    _held: tuple[int, float] = (0, 0.0)
    _told: str = ""

    @property
    def settles(self) -> bool:
        """Whether it has a job, or its owner may be about to give it one."""
        taken_ms = self.owner.taken_ms if self.owner else 0
        return self.job != "" or time.time_ns() // 1_000_000 - taken_ms < HAND_OVER_S * 1000

    @property
    def failed(self) -> bool:
        """Whether the journal says that it failed while it was tracked."""
        progress = self.tail.poll()
        return progress.status is Status.FAILED and progress.ts_ms >= self.since_ms

    def job_is_over(self, job: Job | None, ends: EndTracker) -> bool:
        """Whether its job, of which the cluster says this now, has ended, and some moments ago at that."""
        if not ends.observe(self.job, job):
            self._over_at = None
            return False
        now = time.monotonic()
        self._over_at = self._over_at or now
        return now - self._over_at >= SETTLE_S

    def may_start_again(self, job: Job) -> bool:
        """Whether its job, put back by now, waits for nothing but the end of SLURM's two minutes."""
        if job.state is not JobState.PENDING or not job.restarts or job.reason != "BeginTime":
            return False
        if self._held[0] != job.restarts:
            self._held = job.restarts, time.monotonic()
        return time.monotonic() - self._held[1] >= HELD_S

    def owner_is_gone(self) -> bool:
        """Whether the process that had it has given it up. Notices where it was handed to a job."""
        owner = self.folder.owner
        if owner is None or owner.provably_dead:
            return True
        self.owner, self.job = owner, job_id(owner)
        return False

    def news(self, job: Job) -> str:
        """What is new about its job, in a few words; '' for nothing."""
        if job.state not in (JobState.RUNNING, JobState.PENDING):
            return ""
        where = f" on {job.nodes}" if job.state is JobState.RUNNING else ""
        again = f", restart {job.restarts}" if job.restarts else ""
        word, before = f"job {job.id} {job.state.value}{where}{again}", self._told
        self._told = word
        waits_first = not before and job.state is JobState.PENDING  # as every job does
        return "" if word == before or waits_first else word


def job_id(owner: Owner) -> str:
    """The id of a job of this cluster that holds a lock; '' for a process, or another cluster's job."""
    number = owner.job.rpartition(":")[2]
    return number if number and owner.job == job_of(number) else ""
