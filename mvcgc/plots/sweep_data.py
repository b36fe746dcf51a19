"""What plots are drawn from: the rows that a plot asks for, as far as they are finished."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvcgc.errors import UserError
from mvcgc.plan import Column, PlotSpec, RowRecord, State, SweepRecord, stage_state
from mvcgc.runs.folder import StageFolder
from mvcgc.tables import Cell, Line, Table

_MOST_NAMED = 6
"""Rows that a caption lists by name; of more it says how many."""


@dataclass(frozen=True)
class Finished:
    """The finished folders of a stage by row, seeds ascending; ``caption`` says what is left out."""

    folders: dict[str, list[StageFolder]]
    caption: str


@dataclass(frozen=True)
class SweepData:
    """A sweep under ``root`` and its table as it stands."""

    root: Path
    record: SweepRecord
    table: Table

    def rows(self, spec: PlotSpec) -> dict[str, list[RowRecord]]:
        """The rows of a plot, in the order of the table, each with its seeds ascending."""
        rows: dict[str, list[RowRecord]] = {}
        for row in sorted(self.record.rows, key=lambda row: row.seed):
            rows.setdefault(row.name, []).append(row)
        order = dict.fromkeys(row.name for row in self.record.rows)
        check_rows(spec, order)
        return {name: rows[name] for name in order if name in spec.rows or not spec.rows}

    def lines(self, spec: PlotSpec) -> list[Line]:
        """The table's lines of these rows."""
        rows = self.rows(spec)
        return [line for line in self.table.lines if line.name in rows and not line.literature]

    def stages(self, spec: PlotSpec) -> Finished:
        """The folders of the plot's stage; rows of which no seed is finished are left out."""
        folders: dict[str, list[StageFolder]] = {}
        counts, without = [], []
        for name, rows in self.rows(spec).items():
            ids = [row.stages[spec.stage] for row in rows if spec.stage in row.stages]
            if not ids:
                without.append(name)
                continue
            found = [self.record.stages[stage].folder(self.root) for stage in ids]
            done = [folder for folder in found if stage_state(folder).state is State.FINISHED]
            counts.append((name, len(done), len(ids)))
            if done:
                folders[name] = done
        texts = [not_finished(counts), f"Without a stage {spec.stage}: {named(without)}." if without else ""]
        return Finished(folders, sentences(*texts))

    def left_out(self, spec: PlotSpec, columns: Sequence[int]) -> str:
        """Which rows lack a figure in one of the columns, and whether that is still to come."""
        counts, without = [], defaultdict(list)
        for line in self.lines(spec):
            cells = [line.cells[index] for index in columns]
            never = [
                at for at, cell in zip(columns, cells, strict=True) if not cell.values and _is_settled(cell)
            ]
            if never:
                without[self.table.columns[never[0]].label].append(line.name)
            else:
                counts.append((line.name, min(len(cell.values) for cell in cells), cells[0].planned))
        lacking = [f"Without {label}: {named(names)}" for label, names in without.items()]
        return sentences(not_finished(counts), *lacking)

    def about(self) -> str:
        """Scale and seeds, as captions begin."""
        seeds = self.table.seeds
        return f"Scale {self.record.scale}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}."

    def title(self, spec: PlotSpec) -> str:
        """The plot's own title, or the table's."""
        return spec.title or self.table.title


def _is_settled(cell: Cell) -> bool:
    """Whether no seed will give the cell another figure: finished, or without such a stage."""
    return all(trial.state is State.FINISHED or not trial.fingerprint for trial in cell.trials)


def column_index(columns: Sequence[Column], key: str) -> int:
    """The column that goes by ``key``. Raises UserError if that is none, or several."""
    found = [index for index, column in enumerate(columns) if key in (column.label, column.metric)]
    if len(found) == 1:
        return found[0]
    labels = ", ".join(column.label for column in columns)
    what = "the table has no such column" if not found else "several columns go by this"
    raise UserError(f"sweep.plots: {key!r}: {what}; its labels are {labels}")


def is_key(text: str) -> bool:
    """Whether ``text`` is a key of the configuration; columns have no dots between words."""
    return "." in text and " " not in text


def value_at(config: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key of an experiment. Raises UserError if there is none."""
    value: Any = config
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise UserError(f"sweep.plots: there is no key {key}; give one as it is typed, as method.k")
        value = value[name]
    return value


def number_at(config: Mapping[str, Any], key: str) -> float:
    """The number at a dotted key. Raises UserError if it is none."""
    value = value_at(config, key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"sweep.plots: x={key}: its value {value!r} is no number")
    return float(value)


def check_rows(spec: PlotSpec, rows: Iterable[str]) -> None:
    """Raise UserError if a plot names a row that there is not."""
    known = list(rows)
    for name in spec.rows:
        if name not in known:
            raise UserError(f"sweep.plots: {spec.name} names the row {name!r}; there are {'; '.join(known)}")


def not_finished(counts: Iterable[tuple[str, int, int]]) -> str:
    """What is left out of (row, finished seeds, all seeds), in words; nothing if all is finished."""
    entries = list(counts)
    absent = [name for name, done, _ in entries if not done]
    partly = [f"{name} ({done} of {planned} seeds)" for name, done, planned in entries if 0 < done < planned]
    return sentences(
        f"Not finished, left out: {named(absent)}." if absent else "",
        f"In part: {named(partly)}." if partly else "",
    )


def named(names: Sequence[str]) -> str:
    """Names in a row, or how many they are."""
    return "; ".join(names) if len(names) <= _MOST_NAMED else f"{len(names)} rows"


def sentences(*texts: str) -> str:
    """The texts that are not empty, each with one full stop."""
    return " ".join(f"{text.rstrip('.')}." for text in texts if text)
