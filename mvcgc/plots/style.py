"""How all plots look: one width, type of 9 points or more at that width, colours told apart without colour
vision; and how they are saved, the same bytes for the same figures.
"""

import io
import textwrap
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mvcgc.files import write_atomic

WIDTH = 7.0
"""Inches: the text of a page, or 1050 pixels of the PNG."""
DPI = 150
SMALL = 9.0
"""Points of the smallest text."""
INK, SOFT, RULE = "#1a1d21", "#5c6570", "#d5dae0"

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito (2008), without their yellow, which is too light for lines on white."""
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # matplotlib brings it along
    "font.size": 10.0,
    "axes.labelsize": 10.0,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "svg.fonttype": "path",  # a page that shows it may not have the font
    "svg.hashsalt": "mvcgc",  # names of clips and markers, random otherwise
}
_WRAP = 102
"""Characters of caption text that fit into the width."""


def new_figure(height: float, title: str, caption: str) -> Figure:
    """A figure ``height`` inches high, its title above and its caption below."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("\n".join(textwrap.wrap(title, 70)), x=0.01, ha="left", fontsize=12, fontweight="bold")
    told = "\n".join(textwrap.wrap(caption, _WRAP))
    figure.supxlabel(told, x=0.01, ha="left", fontsize=SMALL, color=SOFT)
    return figure


def line_look(index: int) -> dict[str, Any]:
    """Colour and dashes of the line with this index; no two of the first 21 are alike."""
    dashes = DASHES[index // len(COLOURS) % len(DASHES)]
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": dashes}


def lay_out(figure: Figure) -> None:
    """Settle where everything is, for what is placed by it."""
    figure.draw_without_rendering()


def save(figure: Figure, path: Path) -> list[Path]:
    """Write ``path`` with ``.png`` and ``.svg`` appended; neither holds a date or a program's version."""
    paths = []
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=DPI, metadata=metadata)
        target = path.with_name(f"{path.name}.{suffix}")
        write_atomic(target, buffer.getvalue())
        paths.append(target)
    return paths


def styled() -> Any:
    """A context in which figures look as they should, whatever the user's matplotlibrc says."""
    return style.context(["default", STYLE])
