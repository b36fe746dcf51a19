"""Tracks a stage that runs as a SLURM job, or that another executor runs."""

import time
from dataclasses import dataclass

from mvcgc.launch.executor import TrackedStage
from mvcgc.launch.slurm.liveness import EndTracker, job_of
from mvcgc.launch.slurm.queue import Job, JobState
from mvcgc.runs.lock import Owner

# What a job writes may show on another machine only after its end has.
SETTLE_S = 3.0
# A node refuses what it was told to end until its clock says a later second than then.
HELD_S = 5.0
# A process that holds a lock is about to hand it to a job within moments, or runs the stage itself.
HAND_OVER_S = 20.0


@dataclass(kw_only=True)
class TrackedJob(TrackedStage):
    """A stage that runs as a job, or that another executor runs.

    Attributes:
        job: its id on this cluster, '' for a stage that a process runs.
        owner: the lock's owner if it is another executor's stage, None if this executor submitted it.
    """

    job: str
    owner: Owner | None = None
    _over_at: float | None = None
    _held: tuple[int, float] = (0, 0.0)
    _told: str = ""

    @property
    def ours(self) -> bool:
        """True if this executor submitted the job."""
        return self.owner is None

    @property
    def settles(self) -> bool:
        """True if it has a job, or its owner may be about to hand it to one."""
        taken_ms = self.owner.taken_ms if self.owner else 0
        return self.job != "" or time.time_ns() // 1_000_000 - taken_ms < HAND_OVER_S * 1000

    def job_is_over(self, job: Job | None, ends: EndTracker) -> bool:
        """Return True if the job ended at least `SETTLE_S` ago; ``job`` is the cluster's current answer."""
        if not ends.observe(self.job, job):
            self._over_at = None
            return False
        now = time.monotonic()
        self._over_at = self._over_at or now
        return now - self._over_at >= SETTLE_S

    def may_start_again(self, job: Job) -> bool:
        """Return True if the job was requeued and only SLURM's two-minute hold keeps it from starting."""
        if job.state is not JobState.PENDING or not job.restarts or job.reason != "BeginTime":
            return False
        if self._held[0] != job.restarts:
            self._held = job.restarts, time.monotonic()
        return time.monotonic() - self._held[1] >= HELD_S

    def owner_is_gone(self) -> bool:
        """Return True if the owning process has released the lock; notice if it handed the lock to a job."""
        owner = self.folder.owner
        if owner is None or owner.provably_dead:
            return True
        self.owner, self.job = owner, job_id(owner)
        return False

    def news(self, job: Job) -> str:
        """Describe a change of the job's state in a few words; '' if there is none."""
        if job.state not in (JobState.RUNNING, JobState.PENDING):
            return ""
        where = f" on {job.nodes}" if job.state is JobState.RUNNING else ""
        again = f", restart {job.restarts}" if job.restarts else ""
        word, before = f"job {job.id} {job.state.value}{where}{again}", self._told
        self._told = word
        waits_first = not before and job.state is JobState.PENDING  # as every job does
        return "" if word == before or waits_first else word


def job_id(owner: Owner) -> str:
    """Return the id of this cluster's job that owns a lock; '' for a process or another cluster's job."""
    number = owner.job.rpartition(":")[2]
    return number if number and owner.job == job_of(number) else ""
