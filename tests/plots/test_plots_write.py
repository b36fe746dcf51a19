"""Plots as files: which there are, their bytes, what they say of what is missing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import plot_factories
import pytest
from fake_sweep import FakeSweep
from matplotlib.figure import Figure
from matplotlib.text import Text

from mvcgc.errors import UserError
from mvcgc.plan import PlotSpec
from mvcgc.plots import Drawn, activation, bubbles, confusion, curves, scatter, write_plots
from mvcgc.plots.style import SMALL, styled
from mvcgc.plots.sweep_data import SweepData
from mvcgc.tables import table_of

DRAWING = [curves, scatter, scatter, bubbles, confusion, activation]


@pytest.fixture
def sweep(tmp_path: Path) -> FakeSweep:
    """The made one."""
    return plot_factories.make(tmp_path / "runs")


def write(sweep: FakeSweep, out: Path) -> Drawn:
    """All plots of the sweep."""
    return write_plots(sweep.root, sweep.record, table_of(sweep.root, sweep.record), out)


def data_of(sweep: FakeSweep) -> SweepData:
    """Return what its plots are drawn from."""
    return SweepData(sweep.root, sweep.record, table_of(sweep.root, sweep.record))


def drawn(sweep: FakeSweep, index: int) -> Figure:
    """The plot with this place among those of the sweep."""
    with styled():
        figure = DRAWING[index].draw(data_of(sweep), sweep.plots[index])
        assert figure is not None
        figure.draw_without_rendering()
    return figure


def texts(figure: Figure) -> list[str]:
    """All that is written in it."""
    return [" ".join(text.get_text().split()) for text in figure.findobj(Text)]


def test_files_and_their_bytes(sweep: FakeSweep, tmp_path: Path) -> None:
    first = write(sweep, tmp_path / "a")
    names = ["curves", "against", "columns", "bubbles", "confusion", "activation"]
    folder = tmp_path / "a" / "demo"
    assert first.paths == [folder / f"ablation_loss.{n}.{s}" for n in names for s in ("png", "svg")]
    assert first.missing == []
    again = write(sweep, tmp_path / "b")
    assert [p.read_bytes() for p in first.paths] == [p.read_bytes() for p in again.paths]
    for path in first.paths:
        start = b"\x89PNG" if path.suffix == ".png" else b"<?xml"
        assert path.read_bytes().startswith(start)


def test_nothing_finished_no_file_and_none_of_before(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "runs", plots=plot_factories.PLOTS[:1])
    sweep.row("Init.", 0, cross=False)
    sweep.row("CMC", 0)
    stale = tmp_path / "out" / "demo" / "ablation_loss.curves.svg"
    stale.parent.mkdir(parents=True)
    stale.write_text("of another day")
    assert write(sweep, tmp_path / "out") == Drawn(
        [], ["plot ablation_loss.curves: nothing of it is finished yet"]
    )
    assert not stale.exists()


@pytest.mark.parametrize("index", range(len(DRAWING)))
def test_small_print_is_legible_and_inside(sweep: FakeSweep, index: int) -> None:
    figure = drawn(sweep, index)
    written = [text for text in figure.findobj(Text) if text.get_text()]
    assert min(text.get_fontsize() for text in written) >= SMALL
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_ticklabels()
    }
    page = figure.bbox.padded(1.0)
    for text in written:
        box = text.get_window_extent()
        # A tick beyond the axes' ends has a label that is not drawn.
        assert id(text) in ticks or (page.x0 <= box.x0 and box.x1 <= page.x1), text


@pytest.mark.parametrize("index", [0, 1, 2, 3, 5])
def test_what_is_not_finished_is_named(sweep: FakeSweep, index: int) -> None:
    assert any("Not finished, left out: k=20." in text for text in texts(drawn(sweep, index)))


def test_legend_of_curves_is_in_the_order_of_their_ends(sweep: FakeSweep) -> None:
    loss, accuracy = drawn(sweep, 0).axes
    for axes, order in ((loss, ["k=5", "k=1"]), (accuracy, ["k=1", "k=5"])):
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == order


def test_part_of_the_seeds_is_said(sweep: FakeSweep) -> None:
    sweep.folder(sweep.rows[0].stages["cross"]).done.unlink()
    assert any("In part: k=1 (1 of 2 seeds)." in text for text in texts(drawn(sweep, 0)))


def test_a_row_without_the_stage_is_said(sweep: FakeSweep) -> None:
    for row in sweep.rows[:2]:
        del row.stages["cross"]
    assert any("Without a stage cross: k=1." in text for text in texts(drawn(sweep, 0)))


def test_a_row_that_will_have_no_figure_is_said(sweep: FakeSweep) -> None:
    for row in sweep.rows[:2]:
        del row.stages["retrieve/demo"]
    found = texts(drawn(sweep, 2))
    assert any("left out: k=20. Without R@1 rgb: k=1." in text for text in found)


def test_ours_and_literature_are_told_apart(sweep: FakeSweep) -> None:
    found = texts(drawn(sweep, 3))
    assert {"k=1, 1 GB", "k=5, 5 GB", "MVCGC †, 1.9 GB", "IIC †, 38 GB"} <= set(found)


def test_cells_hold_counts(sweep: FakeSweep) -> None:
    for seed in range(2):
        predicted = np.array([0, 1, 1, 1, 2, 0])
        plot_factories.predictions(sweep.folder(sweep.rows[seed].stages["linear/demo"]), predicted)
    figure = drawn(sweep, 4)
    cells = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert cells == {(0, 0): "2", (1, 0): "2", (1, 1): "4", (2, 2): "2", (0, 2): "2"}
    assert any("8 of 12 right, summed over 2 seeds" in text for text in texts(figure))


def test_drawing_library_is_imported_for_drawing_alone() -> None:
    code = "import sys, mvcgc.sweep; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("index", "change", "line"),
    [
        (4, {"view": "mv"}, "view=mv: .* has tested rgb"),
        (5, {"view": "mv"}, "view=mv: .* has looked at rgb"),
        (1, {"x": "method.m"}, "there is no key method.m"),
        (1, {"rows": ["k=2"]}, "names the row 'k=2'; there are k=1; k=5; k=20"),
    ],
)
def test_mistakes(sweep: FakeSweep, index: int, change: dict[str, object], line: str) -> None:
    given = {key: value for key, value in vars(sweep.plots[index]).items() if value}
    sweep.plots = [PlotSpec(**{**given, **change})]
    with pytest.raises(UserError, match=line):
        write(sweep, sweep.root)
