"""Learning curves from the stages' journals: a line per row, its mean over the seeds with their deviation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mvcgc.plan import PlotSpec
from mvcgc.plots.style import line_look, new_figure
from mvcgc.plots.sweep_data import SweepData, named, sentences
from mvcgc.runs.journal import Folded, read

MOST_POINTS = 150
"""A longer curve is averaged down to so many points: more would be a hatching."""
_PAUSE = 2.5
"""Usual distances between two points from which on they are not joined."""


@dataclass(frozen=True)
class Curve:
    """One row's: ``deviation`` is the seeds' sample standard deviation, zero for one seed; all float [N].

    Where the metric pauses, as a view's does while only the other one learns, there is a point of NaN.
    """

    x: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    seeds: int


def draw(data: SweepData, spec: PlotSpec) -> Figure | None:
    """A panel per metric, one below the other; None if no row is finished."""
    finished = data.stages(spec)
    journals = {name: [read(folder.journal) for folder in found] for name, found in finished.folders.items()}
    panels = [(metric, _curves(journals, metric, spec.x)) for metric in spec.y]
    if not any(curves for _, curves in panels):
        return None
    several = any(curve.seeds > 1 for _, curves in panels for curve in curves.values())
    caption = sentences(
        data.about(),
        f"{spec.stage}, {'mean and one sample standard deviation of the seeds' if several else 'one seed'}.",
        *(_silent(metric, curves, journals) for metric, curves in panels),
        finished.caption,
    )
    height = max(2.2, 0.19 * len(journals) + 0.5)
    figure = new_figure(height * len(panels) + 1.1, data.title(spec), caption)
    looks = {name: line_look(index) for index, name in enumerate(journals)}
    panel_axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (metric, curves) in zip(panel_axes, panels, strict=True):
        for name, curve in curves.items():
            axes.plot(curve.x, curve.mean, label=name, **looks[name])
            low, high = curve.mean - curve.deviation, curve.mean + curve.deviation
            axes.fill_between(curve.x, low, high, color=looks[name]["color"], alpha=0.13, linewidth=0)
        axes.set_ylabel(metric)
        axes.margins(x=0)
        _legend(axes, curves)
    panel_axes[-1].set_xlabel(spec.x)
    return figure


def _curves(journals: dict[str, list[Folded]], metric: str, x: str) -> dict[str, Curve]:
    curves = {name: curve_of(found, metric, x) for name, found in journals.items()}
    return {name: curve for name, curve in curves.items() if curve is not None}


def curve_of(journals: Sequence[Folded], metric: str, x: str) -> Curve | None:
    """The mean of the journals that report the metric, at the steps that all of these report it at.

    ``x`` is "step" or "epoch", which is a share of all steps times the journal's parameter ``epochs``.
    """
    telling = [journal for journal in journals if journal.points.get(metric)]
    values = [{point.step: point.value for point in journal.points[metric]} for journal in telling]
    steps = sorted(set.intersection(*map(set, values))) if values else []
    if not steps:
        return None
    figures = np.array([[each[step] for step in steps] for each in values])
    at = np.array(steps, dtype=float)
    if x == "epoch":
        at *= telling[0].params["epochs"] / telling[0].progress.total_steps
    mean = figures.mean(axis=0)
    deviation = figures.std(axis=0, ddof=1) if len(figures) > 1 else np.zeros_like(mean)
    at, mean, deviation = _binned(at), _binned(mean), _binned(deviation)
    apart = np.diff(at)
    usual = np.median(apart) if len(apart) else 0.0
    pauses = np.flatnonzero(apart > _PAUSE * usual) + 1
    return Curve(
        np.insert(at, pauses, at[pauses]),
        np.insert(mean, pauses, np.nan),
        np.insert(deviation, pauses, np.nan),
        len(values),
    )


def _binned(values: np.ndarray) -> np.ndarray:
    if len(values) <= MOST_POINTS:
        return values
    return np.array([part.mean() for part in np.array_split(values, MOST_POINTS)])


def _silent(metric: str, curves: dict[str, Curve], journals: dict[str, list[Folded]]) -> str:
    silent = [name for name in journals if name not in curves]
    return f"No {metric}: {named(silent)}." if silent else ""


def _legend(axes: Axes, curves: dict[str, Curve]) -> None:
    """List the rows to the right, in the order in which their curves end."""
    ends = {name: curve.mean[np.isfinite(curve.mean)] for name, curve in curves.items()}
    handles, names = axes.get_legend_handles_labels()
    pairs = [pair for pair in zip(handles, names, strict=True) if len(ends[pair[1]])]
    pairs.sort(key=lambda pair: -ends[pair[1]][-1])
    if pairs:
        axes.legend(*zip(*pairs, strict=True), loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.3)
