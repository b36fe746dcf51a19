"""Plots that cannot be drawn are refused before anything runs."""

import re
from pathlib import Path
from typing import Any

import pytest
from plan_factories import make_row

from mvcgc.config import Jobs, compose, composer
from mvcgc.errors import UserError
from mvcgc.plan import Column, PlotKind, PlotSpec, Row, TableSpec
from mvcgc.plots import check_plots

SWEEPS = Path(__file__).parents[2] / "sweeps"
COLUMNS = [Column("linear/tiny", "top1_rgb", "Top-1"), Column("finetune/tiny", "top1_rgb", "Fine-tuned")]


@pytest.fixture
def rows() -> list[Row]:
    """Two."""
    return [make_row("k=1", method__k=1), make_row("k=5")]


def against(**given: Any) -> PlotSpec:
    """A plot of a column against something."""
    return PlotSpec(PlotKind.against, **{"x": "method.k", "y": ["Top-1"], **given})


def test_what_can_be_drawn(rows: list[Row]) -> None:
    plots = [against(series="motion.cell", rows=["k=5"]), against(name="two", x="Fine-tuned")]
    check_plots(TableSpec(columns=COLUMNS, plots=plots), rows)


@pytest.mark.parametrize(
    ("plots", "line"),
    [
        ([against(), against()], "two plots are named against, give each its own name"),
        ([against(rows=["k=2"])], "against names the row 'k=2'; there are k=1; k=5"),
        ([against(y=["Top-5"])], "'Top-5': the table has no such column; its labels are Top-1, Fine-tuned"),
        ([against(y=["top1_rgb"])], "'top1_rgb': several columns go by this"),
        ([against(x="method.m")], "there is no key method.m"),
        ([against(x="method.mining")], "x=method.mining: its value 'intersection' is no number"),
        ([against(series="motion.cells")], "there is no key motion.cells"),
        (
            [PlotSpec(PlotKind.confusion, stage="retrieve/tiny", view="rgb", rows=["k=1"])],
            "stage=retrieve/tiny: give linear/DATASET or finetune/DATASET",
        ),
    ],
)
def test_mistakes(rows: list[Row], plots: list[PlotSpec], line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)):
        check_plots(TableSpec(columns=COLUMNS, plots=plots), rows)


@pytest.mark.parametrize("sweep", sorted(path.stem for path in SWEEPS.glob("*.yaml")))
def test_what_our_own_sweeps_ask_for(sweep: str) -> None:
    with composer() as own:
        for table in Jobs(own, [[f"sweeps={sweep}"]], single=False).tables():
            check_plots(table.spec, table.rows)


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(UserError, match=r"sweep\.plots.*pie"):
        compose(["sweep.plots=[{kind: pie}]"])
