"""Looking after sweeps that have been started: from the sweeps' records and the stages' folders alone."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mvcgc.errors import UserError
from mvcgc.identity import StageFolder
from mvcgc.launch.views import describe
from mvcgc.lock import Machine, Owner
from mvcgc.plan import StageState, State, SweepRecord, list_records, read_record, records_folder, stage_state

FOLLOW_EVERY_S = 0.5
LISTED = 4
"""How many of several that fit an error names."""


def find_sweep(root: Path, wanted: str | None) -> SweepRecord:
    """The newest sweep, or the newest whose id or name is ``wanted``. Raises UserError if there is none."""
    paths = list_records(root)
    for path in reversed(paths):
        if wanted is None or wanted in (path.stem, path.stem.rsplit("-", 2)[0]):
            return read_record(path)
    if wanted is None:
        raise UserError(f"{records_folder(root)} has no sweep yet: start one, or say --root where they are")
    names = dict.fromkeys(path.stem.rsplit("-", 2)[0] for path in reversed(paths))
    raise UserError(
        f"{wanted}: no sweep of this name or id under {root}; there are {', '.join(names) or 'none'}"
    )


def newest_of_each(root: Path) -> list[SweepRecord]:
    """The newest record of every table, by name and scale. Raises UserError if there is none."""
    find_sweep(root, None)
    newest: dict[tuple[str, str], SweepRecord] = {}
    for path in list_records(root):
        record = read_record(path)
        newest[record.name, record.scale] = record
    return list(newest.values())


def status(root: Path, record: SweepRecord) -> str:
    """Rows x stages with the state of each; below, where running and failed stages stand."""
    states = {key: stage_state(stage.folder(root)) for key, stage in record.stages.items()}
    names = list(dict.fromkeys(name for row in record.rows for name in row.stages))
    lines = [["row", "seed", *names]]
    for row in record.rows:
        cells = [_cell(states[row.stages[name]]) if name in row.stages else "" for name in names]
        lines.append([row.name, str(row.seed), *cells])
    finished = sum(state.state is State.FINISHED for state in states.values())
    notes = [note for key, state in states.items() if (note := _note(root, record, key, state))]
    head = f"{record.id}: {record.title}, {finished} of {len(states)} stages finished"
    return "\n".join([head, "", *_aligned(lines), *([""] if notes else []), *notes]) + "\n"


def _cell(state: StageState) -> str:
    progress = state.progress
    share = f" {100 * progress.step // progress.total_steps} %" if progress.total_steps else ""
    match state.state:
        case State.FINISHED:
            return "done"
        case State.MISSING:
            return "-"
        case State.RUNNING:
            return f"running{share}"
        case State.INTERRUPTED:
            return f"stopped{share}"
        case State.FAILED | State.DAMAGED:
            return str(state.state.value).upper()


def _note(root: Path, record: SweepRecord, key: str, state: StageState) -> str | None:
    if state.state is State.RUNNING:
        return f"{key}: {describe(state.progress)} ({state.detail})"
    if state.state in (State.FAILED, State.DAMAGED):
        log = record.stages[key].folder(root).log(state.progress.attempt, 0)
        return f"{key}: {state.state.value}, {state.detail} (log: {log})"
    if state.state is State.INTERRUPTED:
        return f"{key}: stopped {state.detail}"
    return None


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def find_stage(root: Path, wanted: str) -> StageFolder:
    """The stage of this id, fingerprint or, if the newest sweep has but one such, name.

    Raises UserError if none or several fit.
    """
    for path in reversed(list_records(root)):
        record = read_record(path)
        ids = [
            key
            for key, stage in record.stages.items()
            if wanted in (key, stage.name) or (len(wanted) >= LISTED and stage.fingerprint.startswith(wanted))
        ]
        if len(ids) > 1:
            users = {key: row for row in reversed(record.rows) for key in row.stages.values()}
            listed = ", ".join(f"{key} ({users[key].name} [{users[key].seed}])" for key in ids[:LISTED])
            more = ", ..." if len(ids) > LISTED else ""
            raise UserError(f"{wanted}: {len(ids)} stages of {record.id} fit, give one of {listed}{more}")
        if ids:
            return record.stages[ids[0]].folder(root)
    raise UserError(f"{wanted}: no stage of this name, id or fingerprint in the sweeps under {root}")


def print_logs(folder: StageFolder, follow: bool) -> None:
    """Print what all ranks of the newest attempt have written; ``follow`` it until the stage runs no more.

    Raises UserError if it has not started.
    """
    printed: dict[Path, int] = {}
    while True:
        running = stage_state(folder).state is State.RUNNING
        for path in _newest_logs(folder):
            printed[path] = _print_from(path, printed.get(path, 0))
        if not (follow and running):
            break
        time.sleep(FOLLOW_EVERY_S)
    if not printed:
        raise UserError(f"{folder.path}: has written no log yet")


def _newest_logs(folder: StageFolder) -> list[Path]:
    by_attempt: dict[int, list[Path]] = {}
    for path in folder.logs.glob("*.*.log"):
        by_attempt.setdefault(int(path.name.split(".")[0]), []).append(path)
    newest = by_attempt[max(by_attempt)] if by_attempt else []
    return sorted(newest, key=lambda path: int(path.name.split(".")[1]))


def _print_from(path: Path, offset: int) -> int:
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    lines = data.decode(errors="replace").splitlines(keepends=True)
    if offset == 0 and lines:
        print(f"==> {path} <==")
    print("".join(lines), end="", flush=True)
    return offset + len(data)


def cancel(root: Path, wanted: str | None) -> list[str]:
    """Ask whoever runs a sweep, or a stage, to stop; its stages save checkpoints. Returns what was done.

    An executor stops as a whole: it would start a stage again that stopped alone. What a sweep only waits
    for, because another sweep runs it, goes on. Raises UserError if nothing runs, or runs on another machine.
    """
    owners = {owner.processes[0]: owner for owner in _owners(root, wanted)}
    if not owners:
        raise UserError(f"{wanted or 'the newest sweep'} runs no stage: there is nothing to cancel")
    lines = []
    for process, owner in owners.items():
        if owner.machine != Machine.here():
            raise UserError(f"{owner.describe()}: give the same command on {owner.machine.host}")
        os.kill(process.pid, signal.SIGTERM)
        lines.append(f"asked {owner.describe()} to stop: its stages save checkpoints")
    return lines


def _owners(root: Path, wanted: str | None) -> Iterator[Owner]:
    """Living owners of the locks of a sweep's stages that it runs itself, or of one stage."""
    try:
        record = find_sweep(root, wanted)
    except UserError:
        if wanted is None:
            raise
        folders, purpose = [find_stage(root, wanted)], None
    else:
        folders, purpose = [stage.folder(root) for stage in record.stages.values()], record.id
    for folder in folders:
        owner = folder.owner
        if owner is None or owner.provably_dead:
            continue
        if purpose is None or purpose in owner.purpose.split(","):
            yield owner
