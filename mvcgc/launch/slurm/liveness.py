"""Tells if the SLURM job that owns a lock may still run. If unsure, it may."""

import time
from functools import cache

from mvcgc.launch.slurm import queue

# Cache squeue's answer for this many seconds: many locks are looked at in a row.
FRESH_S = 1.0
# A preempted or failed job that SLURM requeues looks ended for a moment.
SETTLE_S = 10.0
UNSETTLED = {queue.JobState.PREEMPTED, queue.JobState.NODE_FAIL}


def job_of(job_id: str) -> str:
    """Return a job's id among all clusters, as stored in locks. Raises QueueUnavailable."""
    return f"{queue.cluster_name()}:{job_id}"


def is_over(job: str) -> bool:
    """Return True if a job, ``<cluster>:<id>``, has ended for good, as its own cluster reports."""
    cluster, _, job_id = job.partition(":")
    if not queue.available():
        return False
    try:
        return cluster == queue.cluster_name() and _end_tracker().is_over(job_id)
    except queue.QueueUnavailable:
        return False


class EndTracker:
    """Remembers since when the cluster has reported jobs as ended."""

    def __init__(self) -> None:
        self._mine: dict[str, queue.Job] = {}
        self._asked_at = -FRESH_S
        self._ended_at: dict[str, float] = {}

    def is_over(self, job_id: str) -> bool:
        """Return True if a job has ended for good. Raises QueueUnavailable."""
        now = time.monotonic()
        if now - self._asked_at >= FRESH_S:
            self._mine, self._asked_at = queue.mine(), now
        # Another user's, forgotten, or younger than the answer.
        return self.observe(job_id, self._mine.get(job_id) or queue.jobs([job_id]).get(job_id))

    def observe(self, job_id: str, job: queue.Job | None) -> bool:
        """Take the cluster's newest answer (None: job unknown); return True if it means the job's end."""
        if job is not None and job.state.alive:
            self._ended_at.pop(job_id, None)
            return False
        ended_at = self._ended_at.setdefault(job_id, time.monotonic())
        return job is None or job.state not in UNSETTLED or time.monotonic() - ended_at >= SETTLE_S


@cache
def _end_tracker() -> EndTracker:
    return EndTracker()
