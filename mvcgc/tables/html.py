"""The table as one HTML file that needs nothing else: light and dark, with every seed as a dot."""

from mvcgc.tables import text
from mvcgc.tables.model import Cell, Table
from mvcgc.tables.templating import environment, render

_TEMPLATES = environment(autoescape=True)


def to_html(table: Table) -> str:
    """Return the whole page."""
    several = any(len(cell.values) > 1 for line in table.lines for cell in line.cells)
    return render(_TEMPLATES, "table.html.j2", table, several=several, seed_dots=seed_dots)


def seed_dots(table: Table, column: int, cell: Cell) -> list[tuple[int, str, float]]:
    """Return each seed, its figure in words, and its place between the column's extremes (0 to 1).

    Empty for a single seed, for figures that are all the same, and for figures that are not finite.
    """
    figures = [f for line in table.lines for f in line.cells[column].values if abs(f) < float("inf")]
    low, high = min(figures, default=0.0), max(figures, default=0.0)
    if len(cell.values) < 2 or low == high or not set(cell.values) <= set(figures):
        return []
    digits = text.decimals(table, column, cell.values)
    return [
        (trial.seed, text.number(trial.value, digits), (trial.value - low) / (high - low))
        for trial in cell.trials
        if trial.value is not None
    ]
