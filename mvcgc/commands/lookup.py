"""Find the sweep or the stage that a user names."""

from pathlib import Path

from mvcgc.errors import UserError
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.record import SweepRecord, list_records, read_record, records_folder

LISTED = 4
"""Candidates that an error lists at most, and characters of a fingerprint that identify a stage at least."""


def find_sweep(root: Path, wanted: str | None) -> SweepRecord:
    """Return the newest sweep, or the newest whose id or name is ``wanted``.

    Raises:
        UserError: if there is none.
    """
    paths = list_records(root)
    for path in reversed(paths):
        if wanted is None or wanted in (path.stem, path.stem.rsplit("-", 2)[0]):
            return read_record(path)
    if wanted is None:
        raise UserError(f"{records_folder(root)} has no sweep yet: start one, or pass --root")
    names = dict.fromkeys(path.stem.rsplit("-", 2)[0] for path in reversed(paths))
    raise UserError(
        f"{wanted}: no sweep of this name or id under {root}; there are {', '.join(names) or 'none'}"
    )


def newest_of_each(root: Path) -> list[SweepRecord]:
    """Return the newest record of every table, by name and scale.

    Raises:
        UserError: if there is none.
    """
    find_sweep(root, None)
    newest: dict[tuple[str, str], SweepRecord] = {}
    for path in list_records(root):
        record = read_record(path)
        newest[record.name, record.scale] = record
    return list(newest.values())


def find_stage(root: Path, wanted: str) -> StageFolder:
    """Return the stage of this id, fingerprint or, if it is unique in the newest sweep that has it, name.

    Raises:
        UserError: if none or several fit.
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
