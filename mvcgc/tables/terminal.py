"""The table on a terminal, at the end of a run."""

import textwrap
from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from mvcgc.plan import State
from mvcgc.tables import text
from mvcgc.tables.model import Line, Table

WIDE = 100
LABEL = 10
"""Characters of a column's label on one line: about as wide as its figures."""
MIN_NAME = 8
"""Room that a row's name keeps, however many columns there are."""
_STATE_STYLES = {
    State.FAILED.value: "bold red",
    State.DAMAGED.value: "bold red",
    State.RUNNING.value: "yellow",
}


def print_table(table: Table, console: Console | None = None) -> None:
    """Print the table with its legend and notes; ``console`` is by default that of standard output.

    Differences stand below the figures. On less than 100 characters the paper's figures are left out.
    """
    console = console or Console()
    if console.width < WIDE:
        table = _ours(table)
    grid = Grid(title=Text(table.title, style="bold"), box=box.SIMPLE_HEAD, title_justify="left")
    grid.add_column("", overflow="fold", min_width=MIN_NAME)
    grid.add_column("seeds", justify="right")
    for index, column in enumerate(table.columns):
        label = "\n".join(textwrap.wrap(column.label, LABEL))
        grid.add_column(Text(label), justify="right", no_wrap=True)
        if table.has_paper(index):
            grid.add_column("paper", justify="right")
    for above, line in zip((None, *table.lines), table.lines, strict=False):
        if above is not None and line.literature and not above.literature:
            grid.add_section()
        name = Text(text.name(line), style="italic dim" if line.literature else "")
        grid.add_row(name, text.seeds(line), *_cells(table, line))
    console.print(grid)
    console.print(Text(text.legend(table), style="dim"))
    for note in table.notes:
        console.print(Text(text.note(note)))


def _ours(table: Table) -> Table:
    """The table without the paper's figures."""
    lines = [
        replace(line, cells=tuple(replace(cell, paper=None) for cell in line.cells))
        for line in table.lines
        if not line.literature
    ]
    return replace(table, lines=tuple(lines), paper_title=None)


def _cells(table: Table, line: Line) -> list[Text]:
    cells = []
    for index in range(len(table.columns)):
        digits = text.decimals(table, index)
        figure = text.figure(line, index, digits)
        style = "bold green" if line.cells[index].best else _STATE_STYLES.get(figure, "")
        cell = Text(figure, style=style)
        if line.cells[index].difference is not None:
            cell.append(f"\n{text.difference(line, index, digits)}", style="not bold dim default")
        cells.append(cell)
        if table.has_paper(index):
            cells.append(Text(text.paper(line.cells[index], digits), style="dim"))
    return cells
