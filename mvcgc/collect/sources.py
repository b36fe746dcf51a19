"""What there is to collect under a root: rows of all sweeps, and how their stages stand."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mvcgc.collect.view import RunView, StageFacts, row_uid, row_view
from mvcgc.errors import UserError
from mvcgc.files import write_atomic
from mvcgc.plan import RowRecord, SweepRecord, list_records, read_record, stage_state
from mvcgc.runs.journal import attempts, path_of, records


@dataclass
class RowSource:
    """A row of a sweep: ``record`` is the sweep's newest that has it, ``start_ms`` comes from its oldest.

    MLflow lists new runs first and at first draws only ten of them, so each row starts a millisecond before
    the one listed above it: the first seed of all rows, in the order of the table, then the next.
    """

    uid: str
    record: SweepRecord
    row: RowRecord
    start_ms: int


@dataclass
class Sources:
    """Rows by uid, records by sweep from old to new, and the rows that need each stage, by the stage's id.

    ``warnings`` tells of records that cannot be read: one bad file must not hide all other sweeps.
    """

    rows: dict[str, RowSource] = field(default_factory=dict)
    sweeps: dict[str, list[SweepRecord]] = field(default_factory=dict)
    users: dict[str, list[RowSource]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def root_id(root: Path) -> str:
    """A name for the root that survives moving it: two people's runs on one server stay apart by it."""
    path = root / "root-id"
    if not path.exists():
        write_atomic(path, f"{uuid.uuid4().hex[:12]}\n")
    return path.read_text().strip()


def sources(root: Path, name: str) -> Sources:
    """All rows of all records under ``root``, whose id is ``name``."""
    found = Sources()
    for path in list_records(root):
        try:
            record = _record(path, path.stat().st_mtime_ns)
        except UserError as error:
            found.warnings.append(str(error))
            continue
        found.sweeps.setdefault(record.name, []).append(record)
        for place, row in enumerate(sorted(record.rows, key=lambda row: row.seed)):
            uid = row_uid(name, record, row)
            start_ms = found.rows[uid].start_ms if uid in found.rows else record.created_ms - place
            found.rows[uid] = RowSource(uid, record, row, start_ms)
    for source in found.rows.values():
        for stage in source.row.stages.values():
            found.users.setdefault(stage, []).append(source)
    return found


@lru_cache(maxsize=4096)
def _record(path: Path, _changed_ns: int) -> SweepRecord:
    """A record, read once for as long as its file stays the same."""
    return read_record(path)


@dataclass
class Facts:
    """How stages stand; each folder is looked at once in the life of this object."""

    root: Path
    name: str
    _stages: dict[str, StageFacts] = field(default_factory=dict)

    def stage(self, record: SweepRecord, stage: str) -> StageFacts:
        """The facts of the stage of that id."""
        if stage not in self._stages:
            description = record.stages[stage]
            folder = description.folder(self.root)
            begin_ms = next(_begins(folder.journal), None)
            self._stages[stage] = StageFacts(description, folder, stage_state(folder), begin_ms)
        return self._stages[stage]

    def view(self, source: RowSource) -> RunView:
        """The root run of a row."""
        facts = {name: self.stage(source.record, stage) for name, stage in source.row.stages.items()}
        return row_view(self.name, source.record, source.row, facts, source.start_ms)


def _begins(journal: Path) -> Iterator[int]:
    """When the attempts began."""
    for attempt in attempts(journal):
        for _, record in records(path_of(journal, attempt)):
            if record is not None and record.get("kind") == "begin":
                yield int(record["ts_ms"])
                break


def journal_size(folder: Path) -> int:
    """Bytes in all journals of a stage: it grows with every record."""
    return sum(path_of(folder, attempt).stat().st_size for attempt in attempts(folder))
