"""Means that leave out what was not defined."""

import math

import pytest
import torch

from mvcgc.train.meter import Meter


def test_means_of_scalars_leave_nan_out() -> None:
    meter = Meter()
    for loss, precision in ((1.0, float("nan")), (2.0, 0.25), (6.0, float("nan"))):
        meter.add({"loss": torch.tensor(loss, requires_grad=True), "precision": precision})
    assert meter.means() == {"loss": 3.0, "precision": 0.25}


def test_pairs_count_by_their_weight() -> None:
    meter = Meter()
    meter.add({"precision": torch.tensor([1.0, 1.0])})
    meter.add({"precision": torch.tensor([0.0, 0.0])})
    meter.add({"precision": torch.tensor([1.0, 9.0])})
    assert meter.means() == {"precision": pytest.approx(0.2)}


def test_never_defined_is_nan_and_nothing_is_nothing() -> None:
    meter = Meter()
    assert meter.means() == {}
    meter.add({"precision": torch.tensor([0.0, 0.0]), "loss": math.nan})
    assert all(math.isnan(value) for value in meter.means().values())
    meter.reset()
    assert meter.means() == {}


def test_many_small_figures_are_not_lost_in_a_large_sum() -> None:
    meter = Meter()
    meter.add({"loss": torch.tensor(1e8)})
    for _ in range(1000):
        meter.add({"loss": torch.tensor(1.0)})
    assert meter.means()["loss"] == pytest.approx((1e8 + 1000) / 1001, rel=1e-15)


def test_totals_are_sums_and_counts() -> None:
    meter = Meter()
    assert meter.totals() == {}
    meter.add({"loss": 2.0})
    meter.add({"loss": 5.0})
    assert {name: entry.tolist() for name, entry in meter.totals().items()} == {"loss": [7.0, 2.0]}


def test_state_carries_over() -> None:
    one, other = Meter(), Meter()
    one.add({"loss": 1.0})
    other.load_state_dict(one.state_dict())
    for meter in (one, other):
        meter.add({"loss": 2.0})
    assert one.means() == other.means() == {"loss": 1.5}


META = torch.device("meta")
"""Stands in for a GPU: it holds no values, and refuses operands of another device."""


def test_a_resumed_sum_follows_its_values_to_their_device() -> None:
    meter = Meter()
    meter.load_state_dict({name: torch.tensor([3.0, 2.0]).double() for name in ("seconds", "loss", "mined")})
    for _ in range(2):
        meter.add({"seconds": 1.0, "loss": torch.empty((), device=META)})
        meter.add({"mined": torch.empty(2, device=META)})
    where = {name: entry.device.type for name, entry in meter._sums.items()}
    assert where == {"seconds": "cpu", "loss": "meta", "mined": "meta"}
    assert meter._sums["seconds"].tolist() == [5.0, 4.0]


@pytest.mark.parametrize("values", [(1.0, torch.empty((), device=META)), (torch.empty((), device=META), 1.0)])
def test_a_figure_that_changes_sides_ends_on_the_device(values: tuple[float | torch.Tensor, ...]) -> None:
    meter = Meter()
    for value in (*values, *values):
        meter.add({"loss": value})
    assert meter._sums["loss"].device == META
