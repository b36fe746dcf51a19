"""The record of a sweep: what was asked for and which stage folders answer it.

``<root>/sweeps/<id>.json`` is all that status, collect and tables need, long after the submitting process has
gone. Rows differ in few parts, so the record holds one experiment whole and each row's changes to it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cattrs
from cattrs import transform_error
from cattrs.errors import BaseValidationError

from mvcgc.errors import UserError
from mvcgc.files import write_atomic
from mvcgc.parts import Scalar
from mvcgc.runs.fingerprint import plain
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.plot_spec import PlotSpec

FORMAT = 1

_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(Scalar, lambda value, _: value)  # JSON gives it the right type already


@dataclass
class Column:
    """A column of a table: a headline metric of a stage.

    A ``metric`` without a view, as ``top1``, is that of the row's view, or of all that it evaluates.
    ``paper`` names the paper's column to print beside it; ``better`` is "higher" or "lower".
    """

    stage: str
    metric: str
    label: str
    paper: str | None = None
    better: str = "higher"

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower"):
            raise UserError(f"sweep.columns: better={self.better} of {self.label}: use higher or lower")


@dataclass
class TableSpec:
    """The table of a sweep: the row to compare with, the paper's table, columns, and the plots beside it."""

    baseline: str | None = None
    paper_table: str | None = None
    columns: list[Column] = field(default_factory=list)
    plots: list[PlotSpec] = field(default_factory=list)


@dataclass(frozen=True)
class StageRecord:
    """A stage; ``parents`` are ids by view. Its id is its folder relative to ``<root>/stages``."""

    name: str
    kind: str
    fingerprint: str
    code_version: int
    dataset_digest: str
    parents: dict[str, str]

    def folder(self, root: Path) -> StageFolder:
        """Where it lives."""
        return StageFolder.of(root, self.name, self.fingerprint)


@dataclass(frozen=True)
class RowRecord:
    """A row for one seed: ``stages`` are ids by name, ``changes`` the parts that are not the base's.

    ``params`` is the short list of scalars that names the row; ``view`` is `Row`'s.
    """

    name: str
    seed: int
    paper: str | None
    params: dict[str, Scalar]
    changes: dict[str, Any]
    stages: dict[str, str]
    view: str | None = None


@dataclass(frozen=True)
class SweepRecord:
    """A sweep, or a single run, which is a sweep of one row. ``base`` is the first row's experiment."""

    id: str
    name: str
    title: str
    scale: str
    created_ms: int
    command: list[str]
    commit: str | None
    dirty: bool
    version: str
    table: TableSpec
    base: dict[str, Any]
    rows: list[RowRecord]
    stages: dict[str, StageRecord]

    def config(self, row: RowRecord) -> dict[str, Any]:
        """The whole experiment of a row, as plain data."""
        return {**self.base, **row.changes}


@dataclass(frozen=True)
class Origin:
    """Where a sweep comes from."""

    name: str
    title: str
    scale: str
    command: list[str]
    commit: str | None
    dirty: bool
    version: str


def write_record(root: Path, record: SweepRecord) -> Path:
    """Publish a record; returns its file."""
    path = records_folder(root) / f"{record.id}.json"
    head = {key: value for key, value in vars(record).items() if key not in ("table", "rows", "stages")}
    head = {"format": FORMAT, **head, "table": plain(record.table)}
    # A line per part, row and stage, for whoever looks into it; a large sweep has tens of megabytes of them.
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    rows = ",\n".join(json.dumps(vars(row)) for row in record.rows)
    stages = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(vars(stage))}" for key, stage in record.stages.items()
    )
    lines += [f'"rows": [\n{rows}\n]', f'"stages": {{\n{stages}\n}}']
    write_atomic(path, "{" + ",\n".join(lines) + "}\n")
    return path


def read_record(path: Path) -> SweepRecord:
    """Read a record. Raises UserError if it is not one of this version."""
    try:
        content = json.loads(path.read_text())
        if content.pop("format", None) != FORMAT:
            raise UserError(f"{path}: is no sweep record of format {FORMAT}, run its command again")
        return _CONVERTER.structure(content, SweepRecord)
    except BaseValidationError as error:
        raise UserError(f"{path}: {'; '.join(transform_error(error))}") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read as a sweep record: {error}") from error


def list_records(root: Path) -> list[Path]:
    """All records under a root, the oldest first by the time in their names."""
    return sorted(records_folder(root).glob("*.json"), key=lambda path: path.stem.rsplit("-", 2)[1:])


def records_folder(root: Path) -> Path:
    """Where records lie under the root of all runs."""
    return root / "sweeps"
