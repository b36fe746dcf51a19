"""Writing a sweep's plots beside its table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvcgc.plan import PlotKind, PlotSpec, SweepRecord
from mvcgc.plots.sweep_data import SweepData
from mvcgc.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = ("png", "svg")


@dataclass(frozen=True)
class Drawn:
    """The files of the plots, and a line for each of those of which nothing is finished yet."""

    paths: list[Path]
    missing: list[str]


def write_plots(root: Path, record: SweepRecord, table: Table, out: Path) -> Drawn:
    """Write ``out/<scale>/<sweep>.<plot>.{png,svg}``, each atomically; ``table`` is the record's.

    The bytes depend on the record and its stage folders alone, and on the version of matplotlib. A plot of
    which nothing is finished is not written, and one of an earlier time is removed: beside the new table it
    would tell of other figures. Raises UserError if a plot names what there is not.
    """
    drawn = Drawn([], [])
    if not record.table.plots:
        return drawn
    from mvcgc.plots.style import save, styled

    data = SweepData(root, record, table)
    with styled():
        for spec in record.table.plots:
            path = out / record.scale / f"{record.name}.{spec.name}"
            figure = _drawing(spec.kind)(data, spec)
            if figure is not None:
                drawn.paths.extend(save(figure, path))
                continue
            drawn.missing.append(f"plot {record.name}.{spec.name}: nothing of it is finished yet")
            for suffix in SUFFIXES:
                path.with_name(f"{path.name}.{suffix}").unlink(missing_ok=True)
    return drawn


def _drawing(kind: PlotKind) -> "Callable[[SweepData, PlotSpec], Figure | None]":
    """Return what draws a kind; each returns None where nothing is finished."""
    from mvcgc.plots import activation, bubbles, confusion, curves, scatter

    return {
        PlotKind.curves: curves.draw,
        PlotKind.against: scatter.draw,
        PlotKind.bubbles: bubbles.draw,
        PlotKind.confusion: confusion.draw,
        PlotKind.activation: activation.draw,
    }[kind]
