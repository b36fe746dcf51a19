"""Where a stage stands, from its folder alone."""

from dataclasses import dataclass, field
from enum import Enum

from mvcgc.runs.folder import Done, StageDamaged, StageFolder
from mvcgc.runs.journal import Progress, Status, Tail, attempts


class State(Enum):
    """What can be said of a stage's folder."""

    MISSING = "missing"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DAMAGED = "damaged"
    FINISHED = "finished"


@dataclass(frozen=True)
class StageState:
    """A state and why.

    ``detail`` is one line: who runs it, why it failed, what is damaged, where it goes on. ``checkpoint`` is
    the number of steps after which it would go on, None without a checkpoint. ``done`` is there if FINISHED.
    """

    state: State
    detail: str = ""
    checkpoint: int | None = None
    done: Done | None = None
    progress: Progress = field(default_factory=Progress)


def stage_state(folder: StageFolder) -> StageState:
    """Look at a stage's folder: DONE.json, lock, journal, checkpoints."""
    try:
        done = folder.read_done()
    except StageDamaged as damage:
        damaged = str(damage)
    else:
        damaged = ""
        if done is not None:
            return StageState(State.FINISHED, done=done)
    progress = Tail(folder.journal).poll()
    checkpoint = newest_checkpoint(folder)
    owner = folder.owner
    if owner is not None and not owner.provably_dead:
        return StageState(State.RUNNING, owner.describe(), checkpoint, progress=progress)
    if damaged:
        return StageState(State.DAMAGED, damaged, checkpoint, progress=progress)
    if progress.status is Status.FAILED:
        return StageState(State.FAILED, progress.reason, checkpoint, progress=progress)
    if progress.status is Status.ABSENT and checkpoint is None:
        return StageState(State.MISSING)
    where = f"at step {progress.step} of {progress.total_steps}" if progress.total_steps else "while starting"
    onward = "has no checkpoint" if checkpoint is None else f"goes on from step {checkpoint}"
    return StageState(State.INTERRUPTED, f"{where}, {onward}", checkpoint, progress=progress)


def newest_checkpoint(folder: StageFolder) -> int | None:
    """Steps that the newest complete checkpoint holds, over all parts of the stage; None if there is none.

    A stage of several trainings keeps each one's checkpoints in a folder of its own.
    """
    names = [found.parent.name for found in folder.checkpoint.glob("**/meta.json")]
    return max((int(name) for name in names if name.isdecimal()), default=None)


def next_attempt(folder: StageFolder) -> int:
    """A number that no attempt has had, whether it came to its journal or only to its logs."""
    logged = [int(log.name.split(".")[0]) for log in folder.logs.glob("*.*.log")]
    return max([*attempts(folder.journal), *logged], default=0) + 1


def valid_done(folder: StageFolder) -> Done | None:
    """DONE.json if every output is as it was written, else None."""
    try:
        return folder.verify_done()
    except StageDamaged:
        return None
