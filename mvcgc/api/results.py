"""Results of sweeps as a pandas table in long form, from records and stage folders alone."""

import math
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import mvcgc.launch  # noqa: F401  (lets locks ask SLURM whether a job still lives)
from mvcgc.commands.lookup import find_sweep, newest_of_each
from mvcgc.runs.record import Column, RowRecord, SweepRecord
from mvcgc.runs.state import StageState, stage_state

if TYPE_CHECKING:
    import pandas

BOTH = "both"
"""Ending of metrics of two modalities together."""


class _Line(NamedTuple):
    sweep: str
    row: str
    seed: int
    stage: str
    metric: str | None
    value: float
    state: str
    fingerprint: str
    scale: str


def results(root: str | PathLike[str], sweep: str | None = None) -> "pandas.DataFrame":
    """Return the metrics of sweeps in long form: one line per row, seed, stage and metric.

    Reads the sweeps' records and the stages' folders, and never MLflow.

    Args:
        root: folder of all runs.
        sweep: name or id of a sweep; by default the newest sweep of each name and scale.

    Returns:
        A table with the columns

        - ``sweep``, ``row``, ``seed``: the sweep's name, the row's name, the seed.
        - ``stage``: name of the stage, as ``retrieve/ucf101``.
        - ``metric``: name of the metric, as ``r1_rgb``; accuracies and recalls are percentages.
        - ``value``: float; NaN where the stage is not finished.
        - ``state``: finished, running, interrupted, failed, damaged or missing.
        - ``fingerprint``: of the stage; its folder is ``<root>/stages/<stage>-<fingerprint>``.
        - ``scale``: the preset that the sweep ran with.

        A stage that is not finished has a line for each of its metrics that the sweep's table shows, or
        one line without a metric.

    Raises:
        UserError: if there is no such sweep.

    Example:
        >>> table = mvcgc.results("runs", "ablation_loss")
        >>> r1 = table[table.metric == "r1_rgb"]
        >>> r1.pivot_table(index="row", columns="seed", values="value", dropna=False)
        seed            0     1
        row
        Init.        30.0  31.0
        MVCGC (k=5)  40.0   NaN
        >>> table[table.state == "failed"].stage.unique().tolist()
        ['retrieve/demo']
    """
    import pandas

    folder = Path(root)
    records = newest_of_each(folder) if sweep is None else [find_sweep(folder, sweep)]
    lines = [line for record in records for line in _lines(folder, record)]
    table = pandas.DataFrame(lines, columns=list(_Line._fields))
    return table.astype({"seed": "int64", "value": "float64"})


def _lines(root: Path, record: SweepRecord) -> Iterator[_Line]:
    states = {key: stage_state(stage.folder(root)) for key, stage in record.stages.items()}
    reported = _reported(record, states)
    for row in record.rows:
        for name, key in row.stages.items():
            done = states[key].done
            if done:
                metrics = dict(done.metrics)
            else:
                metrics = dict.fromkeys(_awaited(record, row, name, reported.get(name, set())), math.nan)
            named: list[tuple[str | None, float]] = [*metrics.items()]
            for metric, value in named or [(None, math.nan)]:
                yield _Line(
                    sweep=record.name,
                    row=row.name,
                    seed=row.seed,
                    stage=name,
                    metric=metric,
                    value=value,
                    state=states[key].state.value,
                    fingerprint=record.stages[key].fingerprint,
                    scale=record.scale,
                )


def _reported(record: SweepRecord, states: Mapping[str, StageState]) -> dict[str, set[str]]:
    """Return by a stage's name the metrics that finished stages of this name have."""
    found: dict[str, set[str]] = {}
    for key, stage in record.stages.items():
        if done := states[key].done:
            found.setdefault(stage.name, set()).update(done.metrics)
    return found


def _awaited(record: SweepRecord, row: RowRecord, stage: str, reported: set[str]) -> list[str]:
    """Return the metrics of an unfinished stage that the sweep's table shows."""
    columns = [column for column in record.table.columns if column.stage == stage]
    return list(dict.fromkeys(_full_name(column, row, reported) for column in columns))


def _full_name(column: Column, row: RowRecord, reported: set[str]) -> str:
    """Return the metric of a column, which may leave the modality to the row."""
    candidates = (column.metric, f"{column.metric}_{row.view or BOTH}")
    return next((name for name in candidates if name in reported), column.metric)
