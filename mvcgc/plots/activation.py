"""Where in a video a network sees its class, row by row: figure 4."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mvcgc.errors import UserError
from mvcgc.plan import PlotSpec
from mvcgc.plots.style import SMALL, new_figure
from mvcgc.plots.sweep_data import SweepData, sentences

ACTIVATION = Path("activation.npz")
_OPACITY = 0.55
_NAME_LENGTH = 16


def draw(data: SweepData, spec: PlotSpec) -> Figure | None:
    """A line per video: its frame, then for each finished row the activation over it; None if there is none.

    Of several seeds the first that is finished is shown. Raises UserError if a stage lacks the view, or if
    the rows did not look at the same videos.
    """
    finished = data.stages(spec)
    if not finished.folders:
        return None
    found = {row: _load(folders[0].path, spec.view) for row, folders in finished.folders.items()}
    first = next(iter(found.values()))
    for row, arrays in found.items():
        if list(arrays["names"]) != list(first["names"]):
            raise UserError(
                f"sweep.plots: {spec.name}: {row} has looked at other videos than {next(iter(found))}"
            )
    frames = first["frame"]
    caption = sentences(
        f"Scale {data.record.scale}, {spec.stage}, {spec.view}",
        "Colour: activation of the true class, what is above zero, each map scaled to its own largest value",
        "One seed, the first finished" if len(data.table.seeds) > 1 else "",
        finished.caption,
    )
    columns = 1 + len(found)
    side = 7.0 / columns
    figure = new_figure(
        side * len(frames) * frames.shape[1] / frames.shape[2] + 1.3, data.title(spec), caption
    )
    grid = figure.subplots(len(frames), columns, squeeze=False)
    for line, frame in enumerate(frames):
        _frame(grid[line, 0], frame, _label(first, line))
        for column, arrays in enumerate(found.values(), start=1):
            _frame(grid[line, column], overlaid(frame, arrays[f"map_{spec.view}"][line]), "")
    for axes, head in zip(grid[0], ("middle frame", *found), strict=True):
        axes.set_title(head, fontsize=SMALL, wrap=True)
    return figure


def heat(activation: np.ndarray, height: int, width: int) -> np.ndarray:
    """What is positive of a map [h, w], bilinearly at [height, width], its largest value 1; all 0 if none is.

    Cells are points at their centres, as a network's strides have them; beyond the outermost they stay.
    """
    rows = _interpolation(activation.shape[0], height)
    columns = _interpolation(activation.shape[1], width)
    enlarged: np.ndarray = rows @ np.maximum(activation, 0.0) @ columns.T
    largest = enlarged.max()
    return enlarged / largest if largest > 0 else enlarged


def overlaid(frame: np.ndarray, activation: np.ndarray) -> np.ndarray:
    """``frame`` uint8 [H, W, 3] under the colours of the map, float64 [H, W, 3] from 0 to 1."""
    warmth = heat(activation, frame.shape[0], frame.shape[1])
    colours = colormaps["inferno"](warmth)[..., :3]
    share = _OPACITY * warmth[..., None] ** 0.5
    blended: np.ndarray = (1 - share) * frame / 255.0 + share * colours
    return blended


def _interpolation(cells: int, pixels: int) -> np.ndarray:
    """Weights [pixels, cells] of linear interpolation between the cells' centres."""
    at = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
    low = np.minimum(at.astype(int), cells - 1)
    weights = np.zeros((pixels, cells))
    place = np.arange(pixels)
    weights[place, low] = 1.0 - (at - low)
    weights[place, np.minimum(low + 1, cells - 1)] += at - low
    return weights


def _load(folder: Path, view: str) -> dict[str, np.ndarray]:
    with np.load(folder / ACTIVATION) as arrays:
        if f"map_{view}" not in arrays:
            views = [name.removeprefix("map_") for name in arrays if name.startswith("map_")]
            raise UserError(f"sweep.plots: view={view}: {folder.name} has looked at {', '.join(views)}")
        return {name: arrays[name] for name in arrays}


def _label(arrays: dict[str, np.ndarray], line: int) -> str:
    name = str(arrays["classes"][arrays["labels"][line]])
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"


def _frame(axes: Axes, picture: np.ndarray, label: str) -> None:
    axes.imshow(picture, interpolation="bilinear")
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_ylabel(label, fontsize=SMALL)
