"""Hooks of a job's batch script, run on the job's first machine before its ranks start and after they end.

``python -m mvcgc.launch.slurm.job_hooks begin FOLDER`` prints the number of the attempt. ``... end FOLDER
STATUS`` decides, while the job still runs, whether the job ends or is requeued.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mvcgc.files import write_atomic
from mvcgc.launch.logs import last_line
from mvcgc.launch.slurm import queue
from mvcgc.launch.slurm.liveness import job_of
from mvcgc.launch.slurm.requeue_policy import Ending, Next, decide, srun_events
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.journal import JournalWriter, Status
from mvcgc.runs.state import newest_checkpoint, next_attempt, stage_state, valid_done
from mvcgc.stages import rank_failures

# A restarting controller comes back: ask it this often, this many seconds apart.
ASKED, ASK_EVERY_S = 20, 15.0
# Looks, a second apart, for the lock that is handed to a job just after its submission.
HAND_OVER_LOOKS = 20


@dataclass
class Retries:
    """Counts of a job's restarts, stored beside its scripts; each job starts from zero.

    ``checkpoint`` is the newest at the last restart, in steps.
    """

    job: str = ""
    failures: int = 0
    timeouts: int = 0
    checkpoint: int = -1

    @classmethod
    def read(cls, folder: StageFolder, job: str) -> "Retries":
        """Read the counts of ``job``."""
        try:
            known = cls(**json.loads(_retries_of(folder).read_text()))
        except FileNotFoundError:
            return cls(job)
        return known if known.job == job else cls(job)

    def write(self, folder: StageFolder) -> None:
        """Store the counts."""
        write_atomic(_retries_of(folder), json.dumps(asdict(self)) + "\n")


def _retries_of(folder: StageFolder) -> Path:
    return folder.path / "slurm" / "retries.json"


def begin(folder: StageFolder) -> int:
    """Print a unique attempt number; return 1 instead if another owner runs the stage."""
    if not _holds_lock(folder, _this_job()):
        owner = folder.owner
        print(f"error: {folder.path} is run by {owner.describe() if owner else 'another'}", file=sys.stderr)
        return 1
    attempt = next_attempt(folder)
    folder.logs.mkdir(parents=True, exist_ok=True)
    folder.log(attempt, 0).touch()
    print(attempt)
    return 0


def _this_job() -> str:
    """Return this job's id as stored in locks; ask the controller only if the environment lacks it."""
    job_id, cluster = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_CLUSTER_NAME")
    return f"{cluster}:{job_id}" if cluster else job_of(job_id)


def _holds_lock(folder: StageFolder, job: str) -> bool:
    """Return True if this job may run the stage; take its lock if nobody has it."""
    for _ in range(HAND_OVER_LOOKS):
        owner = folder.owner
        if owner is None or owner.provably_dead:
            if folder.try_lock():
                folder.lock.hand_over(job)
                return True
        elif owner.job:
            return owner.job == job
        time.sleep(1.0)  # who submitted the job is about to hand it the lock
    return True  # that one died: whoever needs the stage finds this job by its name


def end(folder: StageFolder, status: int, max_retries: int, max_timeouts: int | None) -> int:
    """Decide about the job; return its exit status, unless it is requeued, which ends it."""
    job_id = os.environ["SLURM_JOB_ID"]
    attempt = int(os.environ.get("MVCGC_ATTEMPT") or 0)
    job = _this_job()
    if valid_done(folder) is not None:
        folder.lock.release_by(job)
        return 0
    if not attempt:  # it could not begin
        folder.lock.release_by(job)
        return status or 1
    if not _still_ours(job_id):
        print(f"attempt {attempt}, exit status {status}: SLURM has ended the job", file=sys.stderr)
        return status or 1
    retries = Retries.read(folder, job_id)
    ending = _ending(folder, attempt, status, retries)
    decision = decide(ending, retries.failures, retries.timeouts, max_retries, max_timeouts)
    print(f"attempt {attempt}, exit status {status}: {decision.reason}", file=sys.stderr, flush=True)
    if decision.next is Next.REQUEUE:
        retries.failures += decision.counts_as_failure
        retries.timeouts += ending.interrupted and not decision.counts_as_failure
        retries.checkpoint = ending.checkpoint
        retries.write(folder)
        exclude = decision.exclude
        queue.requeue(job_id, exclude if exclude and _enough_without(exclude) else "")
        return 1
    if not ending.said_failed:
        with JournalWriter(folder.journal, attempt) as journal:
            journal.end(Status.FAILED, decision.reason)
    folder.lock.release_by(job)
    return status or 1


def _still_ours(job_id: str) -> bool:
    """Return True if the job's end is ours to decide.

    One that is being cancelled, requeued or preempted, or has passed its time limit, is COMPLETING by now:
    SLURM has decided, and, if it requeues the job, the job still needs its lock.
    """
    for _ in range(ASKED):
        try:
            return queue.jobs([job_id])[job_id].state is queue.JobState.RUNNING
        except queue.QueueUnavailable as error:
            print(f"waiting for the cluster's controller: {error}", file=sys.stderr, flush=True)
            time.sleep(ASK_EVERY_S)
    return False


def _ending(folder: StageFolder, attempt: int, status: int, retries: Retries) -> Ending:
    progress = stage_state(folder).progress
    said = progress.status if progress.attempt == attempt else Status.ABSENT
    checkpoint = newest_checkpoint(folder)
    batch_log = folder.path / "slurm" / f"{attempt}.log"
    try:
        text = batch_log.read_text(errors="replace")
    except FileNotFoundError:
        text = ""
    return Ending(
        status=status,
        said=said,
        said_reason=progress.reason,
        notes=[str(note) for note in rank_failures.notes(folder, attempt)],
        events=srun_events(text),
        checkpoint=-1 if checkpoint is None else checkpoint,
        checkpoint_before=retries.checkpoint,
        last_line=_last_line(folder, attempt) or last_line(batch_log),
    )


def _last_line(folder: StageFolder, attempt: int) -> str:
    lines = [last_line(log) for log in sorted(folder.logs.glob(f"{attempt}.*.log"))]
    return next((line for line in lines if line), "")


def _enough_without(node: str) -> bool:
    """Return True if the job's partition has enough nodes up for it without ``node``."""
    needed = int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
    partition = os.environ.get("SLURM_JOB_PARTITION", "")
    up = queue.nodes_up(partition)
    return len(up - {node}) >= needed


def main(arguments: Sequence[str]) -> int:
    """Run the hook that the batch script names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("begin", "end"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("status", type=int, nargs="?", default=0)
    parser.add_argument("--max-retries", type=int, default=0)
    parser.add_argument("--max-timeouts", type=int)
    parsed = parser.parse_args(arguments)
    folder = StageFolder(parsed.folder)
    if parsed.what == "begin":
        return begin(folder)
    return end(folder, parsed.status, parsed.max_retries, parsed.max_timeouts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
