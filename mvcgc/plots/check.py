"""What a sweep's plots ask for, checked before anything is computed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from mvcgc.errors import UserError
from mvcgc.plan import PlotKind, PlotSpec, Row, TableSpec
from mvcgc.plots.sweep_data import check_rows, column_index, is_key, number_at, value_at
from mvcgc.stages.experiment import as_typed

_STAGES = {PlotKind.confusion: ("linear/", "finetune/"), PlotKind.activation: ("activation/",)}


def check_plots(table: TableSpec, rows: Sequence[Row]) -> None:
    """Raise UserError if a plot names a column, a row, a key or a kind of stage that there is not.

    Cheap, so that a typing error does not show after the last epoch.
    """
    names = [spec.name for spec in table.plots]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"sweep.plots: two plots are named {name}, give each its own name")
    for spec in table.plots:
        check_rows(spec, dict.fromkeys(row.name for row in rows))
        _check_stage(spec)
        _check_axes(spec, table, rows)


def _check_stage(spec: PlotSpec) -> None:
    starts = _STAGES.get(spec.kind)
    if starts and not spec.stage.startswith(starts):
        wanted = " or ".join(f"{start}DATASET" for start in starts)
        raise UserError(
            f"sweep.plots: {spec.name} of kind={spec.kind.value}: stage={spec.stage}: give {wanted}"
        )


def _check_axes(spec: PlotSpec, table: TableSpec, rows: Sequence[Row]) -> None:
    if spec.kind not in (PlotKind.against, PlotKind.bubbles):
        return
    for key, read in ((spec.x if is_key(spec.x) else "", number_at), (spec.series or "", value_at)):
        for row in rows if key else ():
            if not spec.rows or row.name in spec.rows:
                _check_key(row, key, read)
    if not is_key(spec.x):
        column_index(table.columns, spec.x)
    for key in (*spec.y, *([spec.area] if spec.area else [])):
        column_index(table.columns, key)


def _check_key(row: Row, key: str, read: Callable[[Mapping[str, Any], str], Any]) -> None:
    experiment = row.experiment
    part = key.partition(".")[0]
    known = {
        one.name: as_typed(getattr(experiment, one.name)) for one in fields(experiment) if one.name == part
    }
    try:
        read(known, key)
    except UserError as error:
        raise UserError(f"{error}; the row {row.name!r} has none, name the plot's rows") from error
