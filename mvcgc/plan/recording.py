"""Make the record of a sweep from the rows of a graph; `mvcgc.runs.record` writes and reads it."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from mvcgc.method.base import MethodConfig
from mvcgc.parts import Scalar, scalars
from mvcgc.plan.cache import ByContent
from mvcgc.plan.graph import PlannedRow, Stage
from mvcgc.runs.record import Origin, RowRecord, StageRecord, SweepRecord, TableSpec
from mvcgc.stages.experiment import Experiment, as_typed


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


def describe(experiment: Experiment) -> dict[str, Scalar]:
    """The scalars that name a row among others: what the ablations of the paper vary."""
    method = experiment.method
    modalities = [experiment.modalities[view].part for view in experiment.views]
    return {
        "dataset": experiment.dataset.name,
        "method": method.part.label,
        "views": "+".join(experiment.views),
        "arch": experiment.backbone.part.label,
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
