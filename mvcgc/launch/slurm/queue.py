"""SLURM's queue, asked and changed through SLURM's own commands. Knows nothing of stages.

Output fields are requested by name.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

# A controller that is restarting answers within its own timeout, 10 s by default, or not at all.
PATIENCE_S = 30.0
# One argument of a command holds 128 KiB; a job id takes 10 bytes and its comma.
IDS_AT_ONCE = 5000


class JobState(Enum):
    """The states of a job. PREEMPTED is an end: on clusters that cancel preempted jobs."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETING = "completing"
    REQUEUED = "requeued"
    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    NODE_FAIL = "node failed"
    PREEMPTED = "preempted"
    UNKNOWN = "unknown"

    @property
    def alive(self) -> bool:
        """True if the job runs or may yet run; an unknown state counts as alive."""
        return self in _ALIVE


_ALIVE = {
    JobState.PENDING,
    JobState.RUNNING,
    JobState.COMPLETING,
    JobState.REQUEUED,
    JobState.UNKNOWN,
}

STATES = {
    "PENDING": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
    "SPECIAL_EXIT": JobState.PENDING,
    "RESV_DEL_HOLD": JobState.PENDING,
    "CONFIGURING": JobState.RUNNING,
    "RUNNING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    "STAGE_OUT": JobState.COMPLETING,
    "COMPLETING": JobState.COMPLETING,
    "REQUEUED": JobState.REQUEUED,
    "REQUEUE_FED": JobState.REQUEUED,
    "COMPLETED": JobState.DONE,
    "FAILED": JobState.FAILED,
    "OUT_OF_MEMORY": JobState.FAILED,
    "BOOT_FAIL": JobState.NODE_FAIL,
    "LAUNCH_FAILED": JobState.NODE_FAIL,
    "NODE_FAIL": JobState.NODE_FAIL,
    "TIMEOUT": JobState.TIMEOUT,
    "DEADLINE": JobState.TIMEOUT,
    "CANCELLED": JobState.CANCELLED,
    "PREEMPTED": JobState.PREEMPTED,
}
"""SLURM's names of states, as squeue and sacct print them; others are UNKNOWN."""


@dataclass(frozen=True)
class Job:
    """The cluster's view of a job.

    ``raw`` is the state in SLURM's word, ``reason`` why it waits or has failed, '' if SLURM gives none,
    ``nodes`` the list of its nodes as SLURM abbreviates it, '' before it starts. ``restarts`` is how often it
    was requeued, 0 where only the accounting knows the job. ``started_ms`` is of its latest start.
    """

    id: str
    name: str
    state: JobState
    raw: str
    reason: str
    nodes: str
    restarts: int
    started_ms: int | None
    time_left_s: int | None


class QueueUnavailable(Exception):
    """SLURM does not answer, or is not installed here: nothing is known about any job."""


def available() -> bool:
    """Return True if SLURM's commands are installed here; its controller may still not answer."""
    return shutil.which("squeue") is not None


@cache
def cluster_name() -> str:
    """Return the name of the cluster that the commands here use. Raises QueueUnavailable."""
    for line in _run("scontrol", "show", "config").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "ClusterName":
            return value.strip()
    raise QueueUnavailable("scontrol show config names no ClusterName")


def jobs(ids: Sequence[str]) -> dict[str, Job]:
    """Return the jobs of these ids, by id, without those that the cluster does not know.

    The controller forgets a job some minutes after its end; the accounting, where there is one, does not.
    Raises QueueUnavailable if the controller cannot be asked.
    """
    found: dict[str, Job] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        some = ids[start : start + IDS_AT_ONCE]
        found.update((job.id, job) for job in _squeue("--states=all", f"--jobs={','.join(some)}"))
        unknown = [id_ for id_ in some if id_ not in found]
        if unknown:
            found.update((job.id, job) for job in _sacct(unknown))
    return found


def mine() -> dict[str, Job]:
    """Return all jobs of this user that the controller has in memory, by id. Raises QueueUnavailable."""
    return {job.id: job for job in _squeue("--states=all", f"--user={os.getuid()}")}


def jobs_named(name: str) -> list[Job]:
    """Return this user's jobs of that name that are alive. Raises QueueUnavailable."""
    found = _squeue("--states=all", f"--user={os.getuid()}", f"--name={name}")
    return [job for job in found if job.state.alive]


def cancel(ids: Sequence[str]) -> None:
    """Cancel jobs, pending or running; leave ended ones alone. Raises QueueUnavailable."""
    for start in range(0, len(ids), IDS_AT_ONCE):
        _run("scancel", "--quiet", *ids[start : start + IDS_AT_ONCE])


def requeue(job_id: str, exclude: str = "") -> None:
    """Requeue a running job: it starts again under the same id, not on the node ``exclude``.

    Uses one session of scontrol: a job that requeues itself is killed moments later. Raises QueueUnavailable.
    """
    lines = [f"requeue {job_id}"]
    if exclude:
        lines.append(f"update JobId={job_id} ExcNodeList={exclude}")
    _run("scontrol", told="\n".join([*lines, "quit", ""]))


def start_now(job_id: str) -> None:
    """Lift SLURM's two-minute hold of a requeued job. Raises QueueUnavailable."""
    _run("scontrol", "update", f"JobId={job_id}", "StartTime=now")


def nodes_up(partition: str) -> set[str]:
    """Return the nodes of a partition that answer and take jobs. Raises QueueUnavailable."""
    command = ("sinfo", "--noheader", "--Node", "--responding", "--format=%N %t", f"--partition={partition}")
    named = (line.split() for line in _run(*command).splitlines())
    return {name for name, state in named if state.startswith(("idle", "mix", "alloc", "comp"))}


# Width of a field, which cuts what is longer, and the mark that ends it: names of stages are long.
_SQUEUE_FORMAT = ",".join(
    f"{field}:{width}|"
    for field, width in (
        ("JobID", 20),
        ("Name", 256),
        ("State", 20),
        ("Reason", 64),
        ("NodeList", 256),
        ("RestartCnt", 10),
        ("StartTime", 24),
        ("TimeLeft", 20),
    )
)
_NO_SUCH_JOB = "Invalid job id specified"
_NOTHING = ("", "None", "N/A", "(null)", "None assigned", "Unknown")


def _squeue(*which: str) -> list[Job]:
    try:
        text = _run("squeue", "--noheader", "--noconvert", f"--Format={_SQUEUE_FORMAT}", *which)
    except QueueUnavailable as error:
        if _NO_SUCH_JOB in str(error):  # what it says of a single job that it has forgotten
            return []
        raise
    found = []
    for line in text.splitlines():
        id_, name, raw, reason, nodes, restarts, start, left = (part.strip() for part in line.split("|")[:8])
        started = _ms(start) if STATES.get(raw) is not JobState.PENDING else None
        found.append(
            Job(
                id=id_,
                name=name,
                state=STATES.get(raw, JobState.UNKNOWN),
                raw=raw,
                reason=_text(reason),
                nodes=_text(nodes),
                restarts=int(restarts) if restarts.isdecimal() else 0,
                started_ms=started,
                time_left_s=_seconds(left),
            )
        )
    return found


def _sacct(ids: Sequence[str]) -> list[Job]:
    """Return the jobs that the accounting knows; none if there is no accounting."""
    fields = "JobIDRaw,JobName,State,Reason,NodeList,Start"
    try:
        text = _run(
            "sacct",
            "--noheader",
            "--parsable2",
            "--allocations",
            f"--jobs={','.join(ids)}",
            f"--format={fields}",
        )
    except QueueUnavailable:
        return []
    found = []
    for line in text.splitlines():
        id_, name, raw, reason, nodes, start = line.split("|")
        word = raw.split()[0] if raw else ""  # "CANCELLED by 1000"
        state = STATES.get(word, JobState.UNKNOWN)
        found.append(Job(id_, name, state, word, _text(reason), _text(nodes), 0, _ms(start), None))
    return found


def _run(*command: str, told: str = "") -> str:
    """Return the output of a SLURM command. Raises QueueUnavailable if it fails, is missing, or hangs."""
    # Users set SQUEUE_* and SACCT_* to shape what they see, even which jobs; SLURM_CLUSTERS asks others.
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SQUEUE_", "SACCT_", "SCANCEL_")) and key != "SLURM_CLUSTERS"
    }
    environment["SLURM_TIME_FORMAT"] = "%s"
    try:
        done = subprocess.run(
            command,
            env=environment,
            input=told,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise QueueUnavailable(f"{command[0]} is not installed here") from error
    except subprocess.TimeoutExpired as error:
        raise QueueUnavailable(f"{command[0]} has not answered for {PATIENCE_S:.0f} s") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise QueueUnavailable(f"{' '.join(command[:2])}: {said}")
    return done.stdout


def _text(value: str) -> str:
    return "" if value in _NOTHING else value


def _ms(epoch_s: str) -> int | None:
    return int(epoch_s) * 1000 if epoch_s.isdecimal() and int(epoch_s) > 0 else None


def _seconds(left: str) -> int | None:
    """Parse SLURM's ``[days-][hours:]minutes:seconds``; None for UNLIMITED and the like."""
    days, _, clock = left.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdecimal() for part in (*parts, days or "0")):
        return None
    seconds = int(days or 0) * 86_400
    for part, unit in zip(reversed(parts), (1, 60, 3600), strict=False):
        seconds += int(part) * unit
    return seconds
