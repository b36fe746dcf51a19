"""What a sweep's plots ask for, checked before anything is computed."""

from collections.abc import Sequence

from mvcgc.errors import UserError
from mvcgc.plan import PlotKind, PlotSpec, Row, TableSpec
from mvcgc.plots.sweep_data import check_rows, column_index, is_key, number_at, value_at
from mvcgc.runs.fingerprint import plain

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
    experiment = plain(rows[0].experiment)
    if spec.kind is PlotKind.against and is_key(spec.x):
        number_at(experiment, spec.x)
    else:
        column_index(table.columns, spec.x)
    for key in (*spec.y, *([spec.area] if spec.area else [])):
        column_index(table.columns, key)
    if spec.series:
        value_at(experiment, spec.series)
