"""The numbers behind the plots."""

from pathlib import Path

import numpy as np
import plot_factories
import pytest
import torch
from fake_sweep import FakeSweep, begin, metrics
from torch.nn import functional

from mvcgc.plots.activation import heat, overlaid
from mvcgc.plots.bubbles import LARGEST, Bubble
from mvcgc.plots.confusion import confused, counts_of, shares_of
from mvcgc.plots.curves import MOST_POINTS, curve_of
from mvcgc.plots.scatter import told_apart
from mvcgc.runs.journal import Folded, read


@pytest.fixture
def sweep(tmp_path: Path) -> FakeSweep:
    """An empty one."""
    return FakeSweep(tmp_path)


def journal_of(sweep: FakeSweep, key: str, values: dict[int, float]) -> Folded:
    """The journal of a stage that has reported these losses by step, in 2 epochs of 50 steps."""
    stage = sweep.stage("cross", key)
    told = [metrics(step, step, loss=value) for step, value in values.items()]
    sweep.journal(stage, [begin(), {"kind": "params", "params": {"epochs": 2}}, *told])
    return read(sweep.folder(stage).journal)


class TestCurves:
    def test_mean_and_deviation_at_common_steps(self, sweep: FakeSweep) -> None:
        journals = [
            journal_of(sweep, "a", {10: 1.0, 20: 2.0, 30: 9.0}),
            journal_of(sweep, "b", {10: 4.0, 20: 3.0}),
        ]
        curve = curve_of(journals, "loss", "epoch")
        assert curve is not None
        assert curve.seeds == 2
        np.testing.assert_allclose(curve.x, [0.2, 0.4])
        np.testing.assert_allclose(curve.mean, [2.5, 2.5])
        np.testing.assert_allclose(curve.deviation, np.std([[1.0, 2.0], [4.0, 3.0]], axis=0, ddof=1))

    def test_one_seed_has_no_band_and_no_metric_no_curve(self, sweep: FakeSweep) -> None:
        journal = journal_of(sweep, "a", {10: 1.0})
        curve = curve_of([journal], "loss", "step")
        assert curve is not None
        assert (curve.x.tolist(), curve.deviation.tolist()) == ([10.0], [0.0])
        assert curve_of([journal], "acc", "step") is None

    def test_a_pause_is_not_joined(self, sweep: FakeSweep) -> None:
        steps = [0, 10, 20, 60, 70, 80]
        curve = curve_of([journal_of(sweep, "a", {n: float(n) for n in steps})], "loss", "step")
        assert curve is not None
        np.testing.assert_array_equal(curve.x, [0, 10, 20, 60, 60, 70, 80])
        np.testing.assert_array_equal(curve.mean, [0, 10, 20, np.nan, 60, 70, 80])
        np.testing.assert_array_equal(curve.deviation, [0, 0, 0, np.nan, 0, 0, 0])

    def test_a_long_curve_is_averaged_down(self, sweep: FakeSweep) -> None:
        steps = 7 * MOST_POINTS
        curve = curve_of([journal_of(sweep, "a", {n: float(n) for n in range(steps)})], "loss", "step")
        assert curve is not None
        assert len(curve.x) == MOST_POINTS
        np.testing.assert_allclose(curve.mean, 7 * np.arange(MOST_POINTS) + 3)
        np.testing.assert_allclose(curve.x, curve.mean)


class TestConfusion:
    def test_counts_true_by_predicted(self, tmp_path: Path) -> None:
        sweep = plot_factories.make(tmp_path)
        folder = sweep.folder(sweep.rows[0].stages["linear/demo"])
        plot_factories.predictions(folder, np.array([0, 1, 1, 1, 2, 0]))
        assert counts_of(folder, "rgb").tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]

    def test_shares_of_a_class_without_videos_are_none(self) -> None:
        assert shares_of(np.array([[1, 3], [0, 0]])).tolist() == [[0.25, 0.75], [0.0, 0.0]]

    def test_most_confused_go_by_share_and_leave_out_what_is_right(self) -> None:
        counts = np.array([[5, 4, 1], [0, 1, 3], [0, 0, 7]])
        assert confused(counts, 5) == [(1, 2), (0, 1), (0, 2)]
        assert confused(counts, 1) == [(1, 2)]


class TestActivation:
    def test_interpolates_as_torch_does(self) -> None:
        activation = np.random.default_rng(0).standard_normal((4, 7)).astype(np.float32)
        found = heat(activation, 24, 31)
        positive = torch.from_numpy(activation).relu()[None, None]
        wanted = functional.interpolate(positive, (24, 31), mode="bilinear", align_corners=False)[0, 0]
        np.testing.assert_allclose(found, wanted / wanted.max(), atol=1e-6)

    def test_nothing_positive_shows_nothing(self) -> None:
        frame = np.full((4, 6, 3), 51, dtype=np.uint8)
        assert not heat(np.full((2, 2), -1.0), 4, 6).any()
        np.testing.assert_allclose(overlaid(frame, np.full((2, 2), -1.0)), 0.2)


@pytest.mark.parametrize(
    ("row", "series", "name"),
    [
        ("cell 8 px, input 32 px", ["cell 8 px, input 32 px", "cell 8 px, input 40 px"], "32 px"),
        ("k=1", ["k=1", "k=1 again"], "k=1"),
        ("k=1", ["k=1"], "k=1"),
        ("MVCGC (k=1)", [], "MVCGC (k=1)"),
    ],
)
def test_points_of_a_series_go_by_what_tells_them_apart(row: str, series: list[str], name: str) -> None:
    assert told_apart(row, series) == name


def test_area_is_what_is_stored() -> None:
    small, large = (Bubble("", 1.0, 1.0, amount, is_ours=True).radius(8.0) for amount in (2.0, 8.0))
    assert large == LARGEST
    assert small**2 / large**2 == pytest.approx(2.0 / 8.0)
