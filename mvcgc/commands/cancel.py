"""``mvcgc cancel``: stop a sweep or a stage, but nothing that another sweep needs."""

import argparse
import os
import signal
from pathlib import Path

from mvcgc.commands.completers import sweep_or_stage_names
from mvcgc.commands.lookup import find_stage, find_sweep
from mvcgc.commands.root import root
from mvcgc.commands.verb import Verb, complete_by
from mvcgc.errors import UserError
from mvcgc.launch.slurm import queue
from mvcgc.runs import active_sweeps
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.lock import Machine, Owner
from mvcgc.runs.record import SweepRecord


def cancel(root: Path, wanted: str | None) -> list[str]:
    """Stop a sweep (None: the newest), or a stage; running stages save checkpoints. Returns what was done.

    Jobs of SLURM are cancelled one by one, without those that another sweep that goes on needs, no matter
    which of the two submitted them. An executor on this machine stops as a whole: it would start a stage
    again that stopped alone; what the sweep only waits for, because another executor runs it, goes on.

    Raises UserError if nothing runs, if it runs elsewhere, or if others need the stage.
    """
    try:
        record = find_sweep(root, wanted)
    except UserError:
        if wanted is None:
            raise
        return _cancel_stage(root, wanted)
    return _cancel_sweep(root, record)


def _cancel_sweep(root: Path, record: SweepRecord) -> list[str]:
    needed_by = {
        key: other.id
        for other in active_sweeps.ongoing(root)
        if other.id != record.id
        for key in other.stages
    }
    jobs: dict[str, Owner] = {}
    kept: dict[str, str] = {}
    processes: list[Owner] = []
    for key, stage in record.stages.items():
        owner = _living_owner(stage.folder(root))
        if owner is None:
            continue
        if not owner.job:
            if record.id in owner.purpose.split(","):
                processes.append(owner)
        elif key in needed_by:
            kept[key] = needed_by[key]
        else:
            jobs[key] = owner
    if not jobs and not processes and not kept:
        raise UserError(f"{record.id} runs no stage: there is nothing to cancel")
    # From here on other sweeps need not keep anything for this one, even if some of it cannot be reached.
    active_sweeps.end(root, record.id)
    goes_on = [f"{key} goes on: {sweep} needs it" for key, sweep in kept.items()]
    return [*_stop_processes(processes), *_cancel_jobs(jobs), *goes_on]


def _cancel_stage(root: Path, wanted: str) -> list[str]:
    folder = find_stage(root, wanted)
    owner = _living_owner(folder)
    if owner is None:
        raise UserError(f"{wanted} does not run: there is nothing to cancel")
    if not owner.job:
        return _stop_processes([owner])
    key = folder.path.relative_to(root / "stages").as_posix()
    users = [record.id for record in active_sweeps.ongoing(root) if key in record.stages]
    if len(users) > 1:
        raise UserError(f"{key} is needed by {' and '.join(users)}: cancel all but one of them first")
    return _cancel_jobs({key: owner})


def _living_owner(folder: StageFolder) -> Owner | None:
    owner = folder.owner
    return None if owner is None or owner.provably_dead else owner


def _stop_processes(owners: list[Owner]) -> list[str]:
    lines = []
    for process, owner in {owner.processes[0]: owner for owner in owners}.items():
        if owner.machine != Machine.here():
            raise UserError(f"{owner.describe()}: give the same command on {owner.machine.host}")
        os.kill(process.pid, signal.SIGTERM)
        lines.append(f"asked {owner.describe()} to stop: its stages save checkpoints")
    return lines


def _cancel_jobs(owners: dict[str, Owner]) -> list[str]:
    """In one call, so that no job starts because one that it waits for is gone."""
    if not owners:
        return []
    try:
        here = queue.cluster_name()
        for owner in owners.values():
            cluster = owner.job.partition(":")[0]
            if cluster != here:
                raise UserError(f"{owner.describe()}: give the same command on a machine of {cluster}")
        queue.cancel([owner.job.partition(":")[2] for owner in owners.values()])
    except queue.QueueUnavailable as error:
        raise UserError(f"SLURM cannot be asked from here: {error}") from error
    return [f"{key}: cancelled job {owner.job.partition(':')[2]}" for key, owner in owners.items()]


def _add(parser: argparse.ArgumentParser) -> None:
    text = "name, id or fingerprint (default: the newest sweep)"
    complete_by(
        parser.add_argument("target", metavar="SWEEP|STAGE", nargs="?", help=text), sweep_or_stage_names
    )


def _run(parsed: argparse.Namespace) -> None:
    print("\n".join(cancel(root(), parsed.target)))


VERB = Verb(
    "cancel", "stop a sweep or a stage after saving checkpoints; keeps stages other sweeps need", _run, _add
)
