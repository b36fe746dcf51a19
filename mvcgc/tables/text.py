"""The words and numbers of a table, the same in every format: which decimals, which signs, which legend."""

import math
import time
from collections.abc import Sequence

from mvcgc.plan import State
from mvcgc.tables.model import Cell, Line, Note, Table

MINUS = "−"
MISSING = "–"
LITERATURE = "†"

_ATTENTION = (State.FAILED, State.DAMAGED, State.RUNNING, State.INTERRUPTED)

PART_HEADINGS = {"figure": "ours", "difference": "Δ", "paper": "paper"}
"""Headings of the printed columns below a column's label; see `grid`."""

LEGEND = {
    State.RUNNING: "running: not finished yet",
    State.FAILED: "failed: the stage, or one that it needs, ended with an error",
    State.INTERRUPTED: "interrupted: stopped before its end, goes on when run again",
    State.DAMAGED: "damaged: finished, but its files have changed since",
    State.MISSING: f"{MISSING}: not run",
}


def decimals(table: Table, column: int, shown: Sequence[float]) -> int:
    """Digits after the point for the figures ``shown`` in a column: three significant ones for the column's
    largest.

    Where costs (lower is better) are hundreds of times apart, three for the largest of those that are shown.
    """
    cells = [line.cells[column] for line in table.lines]
    figures = _sizes([value for cell in cells for value in (*cell.values, cell.paper) if value is not None])
    if table.columns[column].better == "lower" and max(figures, default=0) > 100 * min(figures, default=0):
        figures = _sizes(shown)
    largest = max(figures, default=100.0)
    return max(1, 2 - math.floor(math.log10(largest)))


def _sizes(figures: Sequence[float]) -> list[float]:
    return [size for size in map(abs, figures) if 0 < size < float("inf")]


def number(value: float, digits: int, sign: bool = False) -> str:
    """A number with a true minus sign; ``sign`` shows a plus, too. Zero is never negative."""
    value = round(value, digits) + 0.0
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def figure(line: Line, column: int, digits: int) -> str:
    """``35.5 ± 1.2``; with its number of seeds, ``35.5 ± 1.2 (2 of 3)``, if the row's cells differ in it."""
    cell = line.cells[column]
    if not cell.trials:
        return ""
    if cell.mean is None:
        return state_word(cell)
    text = number(cell.mean, digits)
    if cell.deviation is not None:
        text += f" ± {number(cell.deviation, digits)}"
    if len({len(other.values) for other in line.cells}) > 1:
        text += f" ({len(cell.values)} of {cell.planned})"
    return text


def state_word(cell: Cell) -> str:
    """Return how a cell without a figure stands: by the state that most asks for attention."""
    for state in _ATTENTION:
        if cell.count(state):
            return str(state.value)
    return MISSING


def difference(line: Line, column: int, digits: int) -> str:
    """``+8.5 [+6.1, +10.9]``; nothing for a row that has none."""
    found = line.cells[column].difference
    if line.baseline:
        return "baseline"
    if found is None:
        return "" if line.literature else MISSING
    text = number(found.mean, digits, sign=True)
    if found.low is not None and found.high is not None:
        text += f" [{number(found.low, digits, sign=True)}, {number(found.high, digits, sign=True)}]"
    return text


def paper(table: Table, line: Line, column: int) -> str:
    """The paper's figure; nothing where it has none."""
    published = line.cells[column].paper
    return "" if published is None else number(published, decimals(table, column, [published]))


def seeds(line: Line) -> str:
    """For how many seeds a row has all its figures, and how the others stand: ``2 of 3, 1 failed``."""
    if line.literature:
        return ""
    least = min(line.cells, key=lambda cell: len(cell.values))
    complete = len(least.values)
    if complete == least.planned:
        return str(complete)
    others = [f"{least.count(state)} {state.value}" for state in _ATTENTION if least.count(state)]
    return ", ".join([f"{complete} of {least.planned}", *(others if complete else [])])


def name(line: Line) -> str:
    """The row's name, with the mark of literature and of its footnotes."""
    marks = [*(f"[{mark}]" for mark in line.marks), *([LITERATURE] if line.literature else [])]
    return " ".join([line.name, *marks])


def note(footnote: Note) -> str:
    """A footnote with its mark."""
    return f"[{footnote.mark}] {footnote.text}" if footnote.mark else footnote.text


def legend(table: Table) -> str:
    """Return what the table's signs mean, of those that are in it, as a sentence."""
    ours = [line for line in table.lines if not line.literature]
    several = any(cell.deviation is not None for line in ours for cell in line.cells)
    listed = ", ".join(map(str, table.seeds))
    if several:
        entries = [f"mean ± sample standard deviation over seeds ({listed})"]
    else:
        entries = [f"seed {listed}" if len(table.seeds) == 1 else f"mean over seeds ({listed})"]
    if any(table.has_difference(column) for column in range(len(table.columns))):
        entries.append(f"Δ: difference to {table.baseline}, seed by seed{_interval(ours)}")
    if table.paper_title:
        entries.append(f"paper: {table.paper_title}, on its own data and scale")
    if any(line.literature for line in table.lines):
        entries.append(f"{LITERATURE} literature, not run by us")
    if any(cell.best for line in ours for cell in line.cells):
        entries.append("bold: best mean of the column")
    shown = {state_word(c) for line in ours for c in line.cells if c.mean is None}
    entries += [text for text in LEGEND.values() if text.partition(":")[0] in shown]
    sentence = "; ".join(entries)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _interval(lines: Sequence[Line]) -> str:
    """Return what the intervals of the differences cover; nothing if there are none."""
    found = [cell.difference for line in lines for cell in line.cells if cell.difference]
    pairs = {difference.pairs for difference in found if difference.low is not None}
    if not pairs:
        return ""
    if pairs == {1}:
        over = "test videos, of one seed: it does not cover other seeds"
    else:
        over = "seeds and test videos" + (", of one seed over videos alone" if 1 in pairs else "")
    return f", with its 95 % interval from a bootstrap over {over}"


def origin(table: Table) -> list[tuple[str, str]]:
    """Return where the table comes from, as (what, text); nothing in it depends on when it was written."""
    rows = [
        ("Scale", table.scale),
        ("Command", table.command),
        ("Commit", table.commit or "unknown"),
        ("Code versions", table.code),
        ("Data", ", ".join(digest[:12] for digest in table.data)),
    ]
    if table.finished_ms is not None:
        stamp = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(table.finished_ms / 1000))
        rows.append(("Last figure", stamp))
        hours = f"{float(f'{table.cost.rank_hours:.2g}'):,g}"
        rows.append(("Cost", f"{table.cost.stages} finished stages, {hours} rank-hours"))
    return rows


def fingerprints(table: Table) -> tuple[list[str], list[list[str]]]:
    """The stages behind the figures: a header, and for every row and seed each column's fingerprint."""
    stages = list(dict.fromkeys(column.stage for column in table.columns))
    at = [next(i for i, column in enumerate(table.columns) if column.stage == stage) for stage in stages]
    rows = []
    for line in table.lines:
        for index, trial in enumerate(line.cells[0].trials if line.cells else ()):
            prints = [line.cells[column].trials[index].fingerprint for column in at]
            rows.append([line.name, str(trial.seed), *prints])
    return ["row", "seed", *stages], rows


def grid(table: Table) -> tuple[list[tuple[int, str]], list[str]]:
    """The columns to print after name and seeds: (column, what) pairs, and their headings.

    What is ``figure``, ``difference`` or ``paper``; the latter two only where the column has any.
    """
    parts: list[tuple[int, str]] = []
    headings: list[str] = []
    for index, column in enumerate(table.columns):
        parts.append((index, "figure"))
        headings.append(column.label)
        if table.has_difference(index):
            parts.append((index, "difference"))
            headings.append(f"Δ {column.label}")
        if table.has_paper(index):
            parts.append((index, "paper"))
            headings.append(f"{column.label}, paper")
    return parts, headings


def groups(table: Table, parts: Sequence[tuple[int, str]]) -> list[tuple[str, int, int]]:
    """Return (label, first, width) of each column: it spans ``width`` printed columns from ``first`` on.

    Printed columns count from 1; those of names and seeds are the first two.
    """
    found = []
    first = 3
    for index, column in enumerate(table.columns):
        width = sum(at == index for at, _ in parts)
        found.append((column.label, first, width))
        first += width
    return found


def cell_texts(table: Table, line: Line, parts: Sequence[tuple[int, str]]) -> list[str]:
    """The text of every printed column of a row, as `grid` lists them."""
    texts = []
    for column, what in parts:
        digits = decimals(table, column, line.cells[column].values)
        if what == "figure":
            texts.append(figure(line, column, digits))
        elif what == "difference":
            texts.append(difference(line, column, digits))
        else:
            texts.append(paper(table, line, column))
    return texts
