"""The table as CSV, for programs: one line for every row and column, with every seed's figure."""

import csv
import io
import time

from mvcgc.plan import Column
from mvcgc.tables.model import Cell, Line, Table

_FACTS = ["sweep", "scale", "row", "source", "stage", "metric", "label"]
_STATISTICS = ["n", "planned", "mean", "deviation", "difference", "low", "high", "pairs", "paper"]
_ORIGIN = ["notes", "finished", "commit", "code", "data", "command"]


def to_csv(table: Table) -> str:
    """CSV with a header; what is not known is empty. Figures have all their digits.

    ``source`` is "ours" or "literature"; ``value[s]``, ``state[s]`` and ``fingerprint[s]`` belong to seed s;
    ``low`` and ``high`` bound ``difference`` with 95 % confidence.
    """
    seeds = [f"{what}[{seed}]" for seed in table.seeds for what in ("value", "state", "fingerprint")]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*_FACTS, *_STATISTICS, *seeds, *_ORIGIN])
    for line in table.lines:
        for column, cell in zip(table.columns, line.cells, strict=True):
            writer.writerow(
                [
                    *_facts(table, line, column),
                    *_statistics(cell),
                    *_trials(table, cell),
                    *_origin(table, line),
                ]
            )
    return file.getvalue()


def _facts(table: Table, line: Line, column: Column) -> list[str]:
    source = "literature" if line.literature else "ours"
    return [table.sweep, table.scale, line.name, source, column.stage, column.metric, column.label]


def _statistics(cell: Cell) -> list[str]:
    found = cell.difference
    difference = [found.mean, found.low, found.high, found.pairs] if found else [None] * 4
    counts = [len(cell.values), cell.planned] if cell.trials else [None] * 2
    return [_text(value) for value in (*counts, cell.mean, cell.deviation, *difference, cell.paper)]


def _trials(table: Table, cell: Cell) -> list[str]:
    by_seed = {trial.seed: trial for trial in cell.trials}
    texts = []
    for seed in table.seeds:
        trial = by_seed.get(seed)
        texts += ["", "", ""] if trial is None else [_text(trial.value), trial.state.value, trial.fingerprint]
    return texts


def _origin(table: Table, line: Line) -> list[str]:
    notes = " | ".join(note.text for note in table.notes if note.mark in line.marks)
    finished = ""
    if table.finished_ms is not None:
        finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(table.finished_ms / 1000))
    return [notes, finished, table.commit, table.code, " ".join(table.data), table.command]


def _text(value: float | int | None) -> str:
    return "" if value is None else repr(value)
