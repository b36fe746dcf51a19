"""The table on a terminal, at the end of a run."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from mvcgc.plan import State
from mvcgc.tables import text
from mvcgc.tables.model import Line, Table

WIDE = 100
NAME_WIDTH, SEEDS_WIDTH, LABEL_WIDTH = 22, 8, 10
"""Characters after which names, seeds and headings are wrapped; a heading may be as wide as its figures."""
_GAP, _EDGES = 3, 2
_STATE_STYLES = {
    State.FAILED.value: "bold red",
    State.DAMAGED.value: "bold red",
    State.RUNNING.value: "yellow",
}


def print_table(table: Table, console: Console | None = None) -> None:
    """Print the table with its legend and notes; ``console`` is by default that of standard output.

    Differences stand below the figures. Columns that do not fit beside the others follow below them, with the
    names again. On less than 100 characters the paper's figures are left out.
    """
    console = console or Console()
    if console.width < WIDE:
        table = _ours(table)
    console.print(Text(table.title, style="bold"))
    for columns in _groups(table, console.width):
        console.print(_grid(table, columns))
    console.print(Text(text.legend(table), style="dim"))
    for note in table.notes:
        console.print(Text(text.note(note)))


def _groups(table: Table, width: int) -> list[list[int]]:
    """The columns, in their order, in as many groups as it takes for each to fit."""
    room = width - _EDGES - _name_width(table) - _GAP - SEEDS_WIDTH
    groups: list[list[int]] = [[]]
    left = room
    for index in range(len(table.columns)):
        needed = _figure_width(table, index) + _GAP
        if table.has_paper(index):
            needed += len("paper") + _GAP
        if needed > left and groups[-1]:
            groups.append([])
            left = room
        groups[-1].append(index)
        left -= needed
    return groups


def _name_width(table: Table) -> int:
    return min(NAME_WIDTH, max((len(text.name(line)) for line in table.lines), default=0))


def _figure_width(table: Table, index: int) -> int:
    lines = [part for line in table.lines for part in _figure(table, line, index).plain.split("\n")]
    label = textwrap.wrap(table.columns[index].label, LABEL_WIDTH)
    return max(len(part) for part in (*lines, *label))


def _grid(table: Table, columns: Sequence[int]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("", width=_name_width(table))
    grid.add_column("seeds", justify="right", max_width=SEEDS_WIDTH)
    for index in columns:
        width = _figure_width(table, index)
        label = "\n".join(textwrap.wrap(table.columns[index].label, max(width, LABEL_WIDTH)))
        grid.add_column(Text(label), justify="right", no_wrap=True, min_width=width)
        if table.has_paper(index):
            grid.add_column("paper", justify="right")
    for above, line in zip((None, *table.lines), table.lines, strict=False):
        if above is not None and line.literature and not above.literature:
            grid.add_section()
        name = Text(text.name(line), style="italic dim" if line.literature else "")
        cells = [cell for index in columns for cell in _cells(table, line, index)]
        grid.add_row(name, text.seeds(line), *cells)
    return grid


def _cells(table: Table, line: Line, index: int) -> list[Text]:
    figure = _figure(table, line, index)
    if not table.has_paper(index):
        return [figure]
    return [figure, Text(text.paper(table, line, index), style="dim")]


def _figure(table: Table, line: Line, index: int) -> Text:
    """A figure, with its difference below."""
    digits = text.decimals(table, index, line.cells[index].values)
    figure = text.figure(line, index, digits)
    cell = Text(figure, style="bold green" if line.cells[index].best else _STATE_STYLES.get(figure, ""))
    if line.cells[index].difference is not None:
        cell.append(f"\n{text.difference(line, index, digits)}", style="not bold dim default")
    return cell


def _ours(table: Table) -> Table:
    """The table without the paper's figures."""
    lines = [
        replace(line, cells=tuple(replace(cell, paper=None) for cell in line.cells))
        for line in table.lines
        if not line.literature
    ]
    return replace(table, lines=tuple(lines), paper_title=None)
