"""Names written beside points and discs of a figure, none on another."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from mvcgc.plots.labels import Anchor, Box, place
from mvcgc.plots.style import INK, SMALL, SOFT, lay_out

Point = tuple[float, float]

_HALF_BAR = 3.0
_AWAY = 10.0
"""Points from a disc to its label from which on a line joins them."""


def write_labels(
    axes: Axes,
    names: Sequence[str],
    points: Sequence[Point],
    radii: Sequence[float],
    bars: Sequence[tuple[Point, Point]] = (),
) -> None:
    """Write each name beside its disc at (x, y) of the data, whose radius is in points.

    ``bars`` are lines from lower to upper end that labels keep off. The figure is laid out first, so that
    nothing may be added to it afterwards that takes room.
    """
    figure = axes.figure
    assert isinstance(figure, Figure)
    lay_out(figure)
    scale = 72 / figure.dpi

    def in_points(point: Point) -> Point:
        x, y = axes.transData.transform(point)
        return x * scale, y * scale

    anchors = []
    for name, point, radius in zip(names, points, radii, strict=True):
        text = axes.text(0.5, 0.5, name, transform=axes.transAxes, fontsize=SMALL)
        size = text.get_window_extent()
        text.remove()
        anchors.append(Anchor(*in_points(point), radius, size.width * scale, size.height * scale))
    ends = [(in_points(low), in_points(high)) for low, high in bars]
    obstacles = [Box(x - _HALF_BAR, low, x + _HALF_BAR, high) for (x, low), (_, high) in ends]
    extent = axes.get_window_extent()
    room = Box(extent.x0 * scale, extent.y0 * scale, extent.x1 * scale, extent.y1 * scale)
    for name, point, anchor, box in zip(names, points, anchors, place(anchors, room, obstacles), strict=True):
        _write(axes, name, point, anchor, box)


def _write(axes: Axes, name: str, point: Point, anchor: Anchor, box: Box) -> None:
    right = max(box.left - anchor.x, anchor.x - box.right, 0.0)
    above = max(box.bottom - anchor.y, anchor.y - box.top, 0.0)
    is_away = math.hypot(right, above) > anchor.radius + _AWAY
    text = axes.annotate(
        name,
        xy=point,
        xytext=(box.left - anchor.x, box.bottom - anchor.y),
        textcoords="offset points",
        fontsize=SMALL,
        color=INK,
        va="bottom",
        ha="left",
        arrowprops={"arrowstyle": "-", "color": SOFT, "linewidth": 0.6, "shrinkB": anchor.radius}
        if is_away
        else None,
    )
    text.set_in_layout(False)
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])  # lines may run behind it
