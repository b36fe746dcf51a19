"""Accuracy against time per video, circles as large as what is stored: figure 1, as the paper draws it."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from mvcgc.plan import PlotSpec
from mvcgc.plots.annotate import write_labels
from mvcgc.plots.style import COLOURS, SOFT, new_figure
from mvcgc.plots.sweep_data import SweepData, column_index, sentences
from mvcgc.tables import Line
from mvcgc.tables.text import LITERATURE

_UNIT = re.compile(r"[(,]\s*(\w+)\)?$")
"""At the end of a column's label: ``Storage (GB)``."""
LARGEST = 38.0
"""Radius of the largest circle, in points."""


@dataclass(frozen=True)
class Bubble:
    """A circle at (x, y); ``amount`` is what its area stands for."""

    name: str
    x: float
    y: float
    amount: float
    is_ours: bool

    def radius(self, most: float) -> float:
        """In points, where the circle of ``most`` has the largest."""
        return LARGEST * math.sqrt(self.amount / most)


def draw(data: SweepData, spec: PlotSpec) -> Figure | None:
    """A circle for each of our rows and of the paper's figures; None if no row of ours is finished."""
    columns = data.table.columns
    at = [column_index(columns, key) for key in (spec.x, spec.y[0], spec.area)]
    lines = data.lines(spec)
    bubbles = [*_ours(lines, at), *_literature(data, at)]
    if not any(bubble.is_ours for bubble in bubbles):
        return None
    most = max(bubble.amount for bubble in bubbles)
    bubbles.sort(key=lambda bubble: -bubble.amount)
    x, y, area = (columns[index].label for index in at)
    found = _UNIT.search(area)
    unit = f" {found[1]}" if found else ""
    cited = any(not bubble.is_ours for bubble in bubbles)
    caption = sentences(
        data.about(),
        f"Area of the circles: {area}, as named beside them; dots are their centres.",
        f"{LITERATURE}, grey: {data.table.paper_title}, its own machine and data." if cited else "",
        data.left_out(spec, at),
    )
    figure = new_figure(4.8, data.title(spec), caption)
    axes = figure.subplots()
    axes.set_xscale("log")
    for bubble in bubbles:
        colour = COLOURS[0] if bubble.is_ours else SOFT
        size = (2 * bubble.radius(most)) ** 2
        fill = colour if bubble.is_ours else "none"
        axes.scatter(bubble.x, bubble.y, s=size, facecolor=fill, alpha=0.25, linewidth=0)
        axes.scatter(bubble.x, bubble.y, s=size, facecolor="none", edgecolor=colour, linewidth=1.2)
        axes.scatter(bubble.x, bubble.y, s=9, color=colour, linewidth=0)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.2, y=0.28)  # the largest circle fits above and below
    write_labels(
        axes,
        [
            f"{bubble.name}{'' if bubble.is_ours else f' {LITERATURE}'}, {bubble.amount:.3g}{unit}"
            for bubble in bubbles
        ],
        [(bubble.x, bubble.y) for bubble in bubbles],
        [bubble.radius(most) for bubble in bubbles],
    )
    return figure


def _ours(lines: Sequence[Line], at: Sequence[int]) -> list[Bubble]:
    return [
        bubble
        for line in lines
        for bubble in _bubble(line.name, [line.cells[i].mean for i in at], is_ours=True)
    ]


def _literature(data: SweepData, at: Sequence[int]) -> list[Bubble]:
    """The paper's figures, of its own rows and of those that are ours too, by the paper's name for them."""
    named = {row.name: row.paper or row.name for row in data.record.rows}
    return [
        bubble
        for line in data.table.lines
        for bubble in _bubble(
            named.get(line.name, line.name), [line.cells[i].paper for i in at], is_ours=False
        )
    ]


def _bubble(name: str, figures: Sequence[float | None], is_ours: bool) -> list[Bubble]:
    """One, or none where a figure is missing, or time or storage is not positive."""
    x, y, amount = figures
    if x is None or y is None or amount is None or x <= 0 or amount <= 0:
        return []
    return [Bubble(name, x, y, amount, is_ours)]
