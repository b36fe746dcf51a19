"""The record of a sweep: what was asked for and which stage folders answer it.

``<root>/sweeps/<id>.json`` is all that status, collect and tables need, long after the submitting process has
gone. Rows differ in few parts, so the record holds one experiment whole and each row's changes to it.
"""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import cattrs
from cattrs import transform_error
from cattrs.errors import BaseValidationError

from mvcgc.errors import UserError
from mvcgc.files import write_atomic
from mvcgc.method.base import MethodConfig
from mvcgc.parts import Scalar, scalars
from mvcgc.plan.cache import ByContent
from mvcgc.plan.graph import PlannedRow, Stage
from mvcgc.plan.plot import PlotSpec
from mvcgc.runs.fingerprint import plain
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.experiment import Experiment, as_typed

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


def record_of(rows: Sequence[PlannedRow], origin: Origin, table: TableSpec) -> SweepRecord:
    """The record of these rows of a graph, made now."""
    now = time.time_ns() // 1_000_000
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now / 1000))
    plain_part = ByContent(as_typed)
    base = _plain_parts(rows[0].row.experiment, plain_part)
    stages: dict[str, StageRecord] = {}
    for planned in rows:
        for stage in planned.stages.values():
            if stage.id not in stages:
                stages[stage.id] = _stage_record(stage)
    return SweepRecord(
        id=f"{origin.name}-{stamp}-{secrets.token_hex(2)}",
        created_ms=now,
        table=table,
        base=base,
        rows=[_row_record(planned, base, plain_part) for planned in rows],
        stages=stages,
        **asdict(origin),
    )


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


def describe(experiment: Experiment) -> dict[str, Scalar]:
    """The scalars that name a row among others: what the ablations of the paper vary."""
    method = experiment.method
    modalities = [experiment.modalities[view].part for view in experiment.views]
    return {
        "dataset": experiment.dataset.name,
        "method": method.part.label,
        "views": "+".join(experiment.views),
        "arch": experiment.backbone.arch.value,
        **({"init": method.init} if experiment.has_cross else {}),
        **scalars(method, beyond=MethodConfig),
        **({"mv_cell": experiment.motion.cell} if any(one.vectors for one in modalities) else {}),
        **({"motion_size": experiment.motion.size} if any(one.moving for one in modalities) else {}),
        "seed": experiment.seed,
    }


def _plain_parts(experiment: Experiment, plain_part: ByContent[Any]) -> dict[str, Any]:
    return {part.name: plain_part(getattr(experiment, part.name)) for part in fields(experiment)}


def _row_record(planned: PlannedRow, base: dict[str, Any], plain_part: ByContent[Any]) -> RowRecord:
    row = planned.row
    parts = _plain_parts(row.experiment, plain_part)
    return RowRecord(
        name=row.name,
        seed=row.seed,
        paper=row.paper,
        params=describe(row.experiment),
        changes={key: part for key, part in parts.items() if part != base[key]},
        stages={name: stage.id for name, stage in planned.stages.items()},
        view=row.view,
    )


def _stage_record(stage: Stage) -> StageRecord:
    return StageRecord(
        name=stage.name,
        kind=stage.kind,
        fingerprint=stage.fingerprint,
        code_version=stage.code_version,
        dataset_digest=stage.dataset.digest,
        parents={view: parent.id for view, parent in stage.parents.items()},
    )
