"""A column's figures against a number of the configuration, as k or the motion's cell, or another column."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from mvcgc.metrics import mean_std
from mvcgc.plan import PlotSpec
from mvcgc.plots.annotate import write_labels
from mvcgc.plots.style import COLOURS, MARKERS, SOFT, new_figure
from mvcgc.plots.sweep_data import SweepData, column_index, is_key, number_at, sentences, value_at
from mvcgc.tables import Cell

KEYS = {
    "method.k": "neighbours mined, k",
    "motion.cell": "motion cell, px",
    "motion.size": "motion input, px",
    "seed": "seed",
}
"""What a key's axis is called; the others go by themselves."""
_LOG_FROM = 8.0
"""Ratio of the largest to the smallest number from which on their axis is logarithmic."""
_DODGE = 0.04
"""Of the axis' span: how far apart series stand at the same number, so that none hides another."""
_POINT_RADIUS = 4.0
PAPER = "paper"


@dataclass(frozen=True)
class Mark:
    """A row in a panel: its figures at ``x``; there is one at least."""

    row: str
    x: float
    cell: Cell
    series: str

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return mean_std(self.cell.values)[0]

    @property
    def deviation(self) -> float:
        """Of the seeds; zero for one."""
        return self.cell.deviation or 0.0


def draw(data: SweepData, spec: PlotSpec) -> Figure | None:
    """A panel per column; None if no row is finished."""
    panels = [column_index(data.table.columns, key) for key in spec.y]
    marks = {column: _marks(data, spec, column) for column in panels}
    if not any(marks.values()):
        return None
    labels = is_key(spec.x)
    needed = panels if labels else [*panels, column_index(data.table.columns, spec.x)]
    papers = labels and any(m.cell.paper is not None for found in marks.values() for m in found)
    caption = sentences(
        data.about(),
        "Mean, one sample standard deviation, and each seed as a small dot"
        if len(data.table.seeds) > 1
        else "",
        f"Grey: {data.table.paper_title}, on its own data and scale" if papers else "",
        data.left_out(spec, needed),
    )
    # Names of points need the width; panels without stand side by side.
    shape = (1, len(panels)) if labels else (len(panels), 1)
    figure = new_figure(3.1 * shape[0] + 1.1, data.title(spec), caption)
    scale = _Scale.of([mark.x for found in marks.values() for mark in found])
    names = list(dict.fromkeys(mark.series for found in marks.values() for mark in found))
    all_axes = figure.subplots(*shape, squeeze=False).ravel()
    for axes, column in zip(all_axes, panels, strict=True):
        axes.set_ylabel(data.table.columns[column].label)
        _set_x(axes, data, spec, scale)
        if papers:
            _paper(axes, marks[column])
        for index, name in enumerate(names):
            found = [mark for mark in marks[column] if mark.series == name]
            places = index - (len(names) - 1) / 2 if labels else 0.0
            _series(axes, found, index, partial(scale.moved, places=places), is_joined=labels or bool(name))
        axes.margins(0.12 if labels else 0.2)
    if any(names) or papers:
        all_axes[len(panels) - 1 if labels else 0].legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0
        )
    if not labels:
        for axes, column in zip(all_axes, panels, strict=True):
            _name_points(axes, marks[column])
    return figure


@dataclass(frozen=True)
class _Scale:
    """The numbers on the axis, ascending, and whether it is logarithmic."""

    numbers: list[float]
    is_log: bool

    @classmethod
    def of(cls, numbers: Iterable[float]) -> "_Scale":
        """Logarithmic from `_LOG_FROM` on."""
        found = sorted(set(numbers))
        return cls(found, found[0] > 0 and found[-1] / found[0] >= _LOG_FROM)

    def moved(self, x: float, aside: float = 0.0, *, places: float) -> float:
        """``x`` moved by so many places: one for each series, ``aside`` of them for its dots."""
        low, high = self.numbers[0], self.numbers[-1]
        share = _DODGE * (places + aside)
        return x * (high / low) ** share if self.is_log else x + (high - low or abs(high) or 1.0) * share


def _set_x(axes: Axes, data: SweepData, spec: PlotSpec, scale: _Scale) -> None:
    axes.set_xscale("log" if scale.is_log else "linear")
    if not is_key(spec.x):
        axes.set_xlabel(data.table.columns[column_index(data.table.columns, spec.x)].label)
        return
    axes.set_xlabel(KEYS.get(spec.x, spec.x))
    axes.xaxis.set_major_locator(FixedLocator(scale.numbers))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")


def _marks(data: SweepData, spec: PlotSpec, column: int) -> list[Mark]:
    marks = []
    rows = data.rows(spec)
    for line in data.lines(spec):
        config = data.record.config(rows[line.name][0])
        x = number_at(config, spec.x) if is_key(spec.x) else _other(data, line.cells, spec.x)
        if x is not None and line.cells[column].values:
            series = f"{_named(spec.series)} {value_at(config, spec.series)}" if spec.series else ""
            marks.append(Mark(line.name, x, line.cells[column], series))
    return marks


def _other(data: SweepData, cells: Sequence[Cell], key: str) -> float | None:
    return cells[column_index(data.table.columns, key)].mean


def _named(key: str) -> str:
    return KEYS.get(key, key).removesuffix(", px")


def _series(
    axes: Axes, marks: Sequence[Mark], index: int, moved: Callable[..., float], *, is_joined: bool
) -> None:
    """Means with their deviations, joined in the order of x if they may be; the seeds' dots beside them."""
    if not marks:
        return
    marks = sorted(marks, key=lambda mark: mark.x)
    colour = COLOURS[index % len(COLOURS)]
    for mark in marks:
        x = moved(mark.x, 1 / 3)
        values = mark.cell.values if len(mark.cell.values) > 1 else []
        axes.plot([x] * len(values), values, "o", color=colour, markersize=3.5, alpha=0.5, markeredgewidth=0)
    one_each = len({mark.x for mark in marks}) == len(marks)  # else the line would go up and down at one x
    axes.errorbar(
        [moved(mark.x) for mark in marks],
        [mark.mean for mark in marks],
        [mark.deviation for mark in marks],
        fmt=MARKERS[index % len(MARKERS)],
        color=colour,
        linestyle="-" if is_joined and one_each else "none",
        markersize=6,
        capsize=3,
        elinewidth=1.2,
        label=marks[0].series or "ours",
    )


def _paper(axes: Axes, marks: Sequence[Mark]) -> None:
    points = sorted((mark.x, mark.cell.paper) for mark in marks if mark.cell.paper is not None)
    if points:
        x, y = zip(*points, strict=True)
        axes.plot(x, y, "D--", color=SOFT, markerfacecolor="white", markersize=5, linewidth=1, label=PAPER)


def _name_points(axes: Axes, marks: Sequence[Mark]) -> None:
    """Each point's row beside it."""
    points = [(mark.x, mark.mean) for mark in marks]
    bars = [((m.x, m.mean - m.deviation), (m.x, m.mean + m.deviation)) for m in marks]
    series = [[other.row for other in marks if mark.series and other.series == mark.series] for mark in marks]
    names = [told_apart(mark.row, rows) for mark, rows in zip(marks, series, strict=True)]
    write_labels(axes, names, points, [_POINT_RADIUS] * len(marks), bars)


def told_apart(row: str, series: Sequence[str]) -> str:
    """A row's name less the words with which all names of its series begin: the legend says the series."""
    words = [name.split() for name in series]
    alike = list(takewhile(lambda each: len(set(each)) == 1, zip(*words, strict=False)))
    return " ".join(row.split()[len(alike) :]) or row
