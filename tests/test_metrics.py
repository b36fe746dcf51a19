"""Figures of merit against sorting by hand, and scipy."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from mvcgc import metrics
from mvcgc.metrics import bootstrap_intervals, mean_std, recall_at, retrieval_ranks, topk_accuracy


def test_accuracy_by_hand() -> None:
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.4, 0.35, 0.25]])
    labels = torch.tensor([1, 1, 0, 2])
    assert [topk_accuracy(scores, labels, k) for k in (1, 2, 3, 9)] == [25.0, 50.0, 100.0, 100.0]


def test_a_constant_score_is_right_for_one_class_only() -> None:
    assert topk_accuracy(torch.zeros(6, 3), torch.arange(6) % 3) == pytest.approx(100 / 3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), classes=st.integers(1, 6), gallery=st.integers(1, 30))
def test_recall_is_what_sorting_finds(seed: int, classes: int, gallery: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    test, train = (torch.randn(n, 5, dtype=torch.float64, generator=generator) for n in (9, gallery))
    test_labels, train_labels = (torch.randint(classes, (n,), generator=generator) for n in (9, gallery))
    ks = (1, 3, 50)
    ranks = retrieval_ranks(test, test_labels, train, train_labels)
    for k in ks:
        hits = 0
        for feature, label in zip(test, test_labels, strict=True):
            cosines = [float(feature @ other / (feature.norm() * other.norm())) for other in train]
            nearest = sorted(range(gallery), key=lambda j, cosines=cosines: -cosines[j])[:k]
            hits += any(train_labels[j] == label for j in nearest)
        assert recall_at(ranks, k) == pytest.approx(100 * hits / 9)


def test_recall_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    test, train = torch.randn(23, 4, generator=generator), torch.randn(40, 4, generator=generator)
    labels = torch.randint(3, (40,), generator=generator)
    whole = retrieval_ranks(test, labels[:23], train, labels)
    monkeypatch.setattr(metrics, "_CHUNK", 5)
    assert torch.equal(retrieval_ranks(test, labels[:23], train, labels), whole)
    assert 0 < recall_at(whole, 1) < recall_at(whole, 5) <= recall_at(whole, 50) == 100.0
    few = retrieval_ranks(test, labels[:23], train, labels, most=2)
    assert torch.equal(few < 2, whole < 2)
    assert (few[whole >= 2] > 50).all()


def test_mean_and_deviation() -> None:
    values = [31.5, 35.25, 29.0]
    assert mean_std(values) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
    assert mean_std([4.0]) == (4.0, None)


def slow_interval(differences: np.ndarray, resamples: int) -> tuple[float, float]:
    """The definition: draw seeds, draw videos, take the mean; with draws of its own."""
    rng = np.random.default_rng(123)
    seeds, videos = differences.shape
    means = []
    for _ in range(resamples):
        rows = rng.integers(seeds, size=seeds)
        columns = rng.integers(videos, size=videos)
        means.append(100 * differences[np.ix_(rows, columns)].mean())
    low, high = np.quantile(means, [0.025, 0.975])
    return low, high


@pytest.mark.parametrize(("seeds", "videos"), [(1, 90), (3, 60), (5, 40)])
def test_bootstrap_is_that_of_seeds_and_videos(seeds: int, videos: int) -> None:
    rng = np.random.default_rng(seeds)
    chances = rng.random(videos) + 0.3 * rng.standard_normal((seeds, 1))
    differences = (chances > 0.6).astype(np.int8) - (rng.random((seeds, videos)) > 0.7).astype(np.int8)
    (low, high), _ = bootstrap_intervals([differences, differences[:1]])
    slow_low, slow_high = slow_interval(differences, 4000)
    width = slow_high - slow_low
    assert low == pytest.approx(slow_low, abs=0.06 * width)
    assert high == pytest.approx(slow_high, abs=0.06 * width)


def test_bootstrap_by_hand_and_again_the_same() -> None:
    always = np.ones((2, 7), dtype=np.int8)
    never = np.zeros((3, 7), dtype=np.int8)
    by_seed = np.stack([np.ones(7, np.int8), np.zeros(7, np.int8)])
    found = bootstrap_intervals([always, never, by_seed], resamples=500)
    assert found == [(100.0, 100.0), (0.0, 0.0), (0.0, 100.0)]
    assert bootstrap_intervals([by_seed, always, never], resamples=500) == [found[2], found[0], found[1]]
    assert bootstrap_intervals([]) == []


def test_bootstrap_in_blocks_draws_all(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(0).integers(-1, 2, size=(3, 50)).astype(np.int8)
    whole = bootstrap_intervals([differences], resamples=3000)[0]
    monkeypatch.setattr(metrics, "_WEIGHTS", 50 * 7)
    assert bootstrap_intervals([differences], resamples=3000)[0] == pytest.approx(whole)


def test_a_narrower_confidence_lies_inside() -> None:
    differences = np.random.default_rng(0).integers(-1, 2, size=(3, 50)).astype(np.int8)
    wide, narrow = (bootstrap_intervals([differences], confidence)[0] for confidence in (0.95, 0.5))
    assert wide[0] < narrow[0] < 100 * differences.mean() < narrow[1] < wide[1]
