"""The paper's own figures, to print beside ours.

A row of a paper's table goes by its method, and where several rows share it, by as many of the columns that
describe it as tell them apart: ``MVCGC (k=5)``, ``CoCLR [RGB+MV]``, ``MVCGC* [RGB+MV, K400]``.
A column goes by its name, or by ``name@value`` for those rows alone that say ``value``: ``r1@UCF101``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import yaml

from mvcgc.errors import UserError

_TITLES = {
    "table1": "Table 1",
    "table2": "Table 2",
    "table3": "Table 3",
    "table4": "Table 4",
    "table5": "Table 5",
}
PAPER = "Huo et al., NeurIPS 2021"

Value = str | float | None


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper: a method and what describes it in text, figures in numbers.

    ``notes`` say, by column, what became known of its figures since.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """As the paper numbers it."""
        return f"{_TITLES[self.name.partition('_')[0]]} of {PAPER}"

    def figures(self, column: str) -> dict[str, float | None]:
        """The figure of every row that has a place in ``column``, by the row's label; None: not reported."""
        name, _, only = column.partition("@")
        if name not in self.columns or not self._is_numeric(self.columns.index(name)):
            numeric = [c for i, c in enumerate(self.columns) if self._is_numeric(i)]
            raise UserError(f"paper={column!r}: {self.name} has the columns {', '.join(numeric)}")
        rows = [row for row in self.rows if not only or only in row]
        if not rows:
            raise UserError(f"paper={column!r}: no row of {self.name} says {only}")
        at = self.columns.index(name)
        figures: dict[str, float | None] = {}
        for label, row in zip(self._labels(rows), rows, strict=True):
            figure = row[at]
            assert not isinstance(figure, str)
            figures[label] = figure
        return figures

    def _is_numeric(self, column: int) -> bool:
        return not any(isinstance(row[column], str) for row in self.rows)

    def _labels(self, rows: Sequence[tuple[Value, ...]]) -> list[str]:
        text = [i for i in range(1, len(self.columns)) if not self._is_numeric(i)]
        labels = []
        for row in rows:
            twins = [other for other in rows if other[0] == row[0]]
            told: list[str] = []
            for i in text:
                rest = [other for other in twins if other[i] == row[i]]
                if len(rest) < len(twins):
                    told.append(str(row[i]))
                    twins = rest
            labels.append(f"{row[0]} [{', '.join(told)}]" if told else str(row[0]))
        assert len(set(labels)) == len(labels), f"{self.name} has rows that cannot be told apart"
        return labels


@cache
def paper_tables() -> dict[str, PaperTable]:
    """All tables of the paper, by name."""
    text = resources.files("mvcgc.tables").joinpath("reference.yaml").read_text()
    return {
        name: PaperTable(
            name,
            tuple(table["columns"]),
            tuple(tuple(row) for row in table["rows"]),
            table.get("notes", {}),
        )
        for name, table in yaml.safe_load(text).items()
    }


def paper_table(name: str) -> PaperTable:
    """The table of that name. Raises UserError, naming those that there are."""
    tables = paper_tables()
    if name not in tables:
        raise UserError(f"paper_table={name!r}: there are {', '.join(tables)}")
    return tables[name]


def check_paper(table: str | None, columns: Iterable[str | None], rows: Iterable[str | None]) -> None:
    """Raise UserError if a sweep names a table, column or row of the paper that does not exist.

    Cheap; called before anything is computed, so that a typing error does not show after the last epoch.
    """
    wanted = [column for column in columns if column is not None]
    named = [row for row in rows if row is not None]
    if table is None:
        if wanted or named:
            raise UserError(f"paper={(wanted + named)[0]!r}: the sweep has no paper_table")
        return
    paper = paper_table(table)
    labels = {label: None for column in wanted for label in paper.figures(column)}
    for row in named:
        if wanted and row not in labels:
            raise UserError(f"paper={row!r}: {table} has the rows {'; '.join(labels)}")
