"""Which classes a classifier takes for which, from the predictions of a probe or a fine-tuned network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from mvcgc.data.index.manifest import load
from mvcgc.errors import UserError
from mvcgc.plan import PlotSpec
from mvcgc.plots.style import INK, SMALL, new_figure
from mvcgc.plots.sweep_data import SweepData, sentences
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.evaluate.classify import PREDICTIONS
from mvcgc.stages.spec import StageConfig

MOST_COUNTED = 20
"""With more classes than that the cells hold no numbers."""
_MOST_PAIRS = 10
_INCHES_PER_NAME = 0.17
_SIDE = 3.6
_NAME_LENGTH = 22


def draw(data: SweepData, spec: PlotSpec) -> Figure | None:
    """Rows are the true classes, columns the predicted ones, shares of a row as shades; None if no seed of
    the row is finished. Raises UserError if its stage has not tested the view.
    """
    finished = data.stages(spec)
    (row,) = spec.rows
    folders = finished.folders.get(row, [])
    if not folders:
        return None
    counts = np.sum([counts_of(folder, spec.view) for folder in folders], axis=0)
    names = class_names(folders[0], len(counts))
    many = len(counts) > MOST_COUNTED
    right, videos = int(np.trace(counts)), int(counts.sum())
    caption = sentences(
        data.about(),
        f"{row}, {spec.stage}, {spec.view}: {right} of {videos} right, summed over {len(folders)} "
        f"seed{'s' if len(folders) > 1 else ''}",
        "Shade: share of the true class, by its square root" if many else "Shade: share of the true class",
        finished.caption,
    )
    figure = new_figure(
        _SIDE + 1.2 if many else max(3.6, 0.32 * len(counts) + 2.4), data.title(spec), caption
    )
    if many:
        axes, beside = figure.subplots(1, 2, width_ratios=[3, 1])
        _list_pairs(beside, counts, names)
    else:
        axes = figure.subplots()
    _matrix(axes, counts, names)
    return figure


def counts_of(folder: StageFolder, view: str) -> np.ndarray:
    """Videos by true and predicted class, int64 [classes, classes]; of equal scores the lower class wins."""
    with np.load(folder.path / PREDICTIONS) as arrays:
        if view not in arrays:
            views = [name for name in arrays if name not in ("names", "labels")]
            raise UserError(f"sweep.plots: view={view}: {folder.path.name} has tested {', '.join(views)}")
        labels, scores = arrays["labels"], arrays[view]
    counts = np.zeros((scores.shape[1],) * 2, dtype=np.int64)
    np.add.at(counts, (labels, scores.argmax(axis=1)), 1)
    return counts


def confused(counts: np.ndarray, most: int) -> list[tuple[int, int]]:
    """The (true, predicted) pairs of different classes with the largest shares of the true class."""
    shares = shares_of(counts)
    np.fill_diagonal(shares, 0.0)
    order = np.argsort(-shares, axis=None, kind="stable")[:most]
    pairs = zip(*np.unravel_index(order, shares.shape), strict=True)
    return [(int(true), int(predicted)) for true, predicted in pairs if shares[true, predicted] > 0]


def shares_of(counts: np.ndarray) -> np.ndarray:
    """Each row divided by its sum, float64; a class without videos has none."""
    shares: np.ndarray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _matrix(axes: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    shares = shares_of(counts)
    many = len(names) > MOST_COUNTED
    norm = PowerNorm(0.5 if many else 1.0, 0.0, 1.0)
    axes.imshow(shares, cmap="Blues", norm=norm, interpolation="nearest")
    axes.grid(visible=False)
    axes.set_ylabel("true class")
    every = -(-len(names) // int(_SIDE / _INCHES_PER_NAME))
    at = range(0, len(names), every)
    axes.set_yticks(at, [names[index] for index in at])
    if many:
        axes.set_xticks([])
        axes.set_xlabel("predicted class, in the same order")
        axes.set_anchor("N")
        return
    axes.set_xticks(at, names, rotation=90 if len(names) > 4 else 0)
    axes.set_xlabel("predicted class")
    for true, predicted in np.ndindex(*counts.shape):
        if counts[true, predicted]:
            colour = "white" if shares[true, predicted] > 0.55 else INK
            axes.text(
                predicted,
                true,
                str(counts[true, predicted]),
                ha="center",
                va="center",
                fontsize=SMALL,
                color=colour,
            )


def _list_pairs(axes: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    """The worst confusions in words, where cells are too small to be read."""
    axes.set_axis_off()
    shares = shares_of(counts)
    lines = ["Most confused"]
    for true, predicted in confused(counts, _MOST_PAIRS):
        lines += [f"{names[true]}", f"  {shares[true, predicted]:.0%}  {names[predicted]}"]
    axes.text(
        0.0, 1.0, "\n".join(lines), va="top", fontsize=SMALL, linespacing=1.25, transform=axes.transAxes
    )


def class_names(folder: StageFolder, classes: int) -> list[str]:
    """Their names in the dataset's manifest, cut where they are long; their numbers if that is gone."""
    try:
        names = load(Path(StageConfig.read(folder).runtime.manifest)).classes
    except UserError:
        names = []
    if len(names) != classes:
        return [str(number) for number in range(classes)]
    return [name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…" for name in names]
