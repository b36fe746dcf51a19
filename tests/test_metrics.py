"""Figures of merit against sorting by hand, and scipy."""

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings

from mvcgc import metrics
from mvcgc.metrics import mean_std, paired_difference, recall_at, retrieval_ranks, student_t, topk_accuracy


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


@settings(max_examples=50, deadline=None)
@given(freedom=st.integers(1, 60), probability=st.floats(0.5, 0.9995))
def test_students_quantiles_are_scipys(freedom: int, probability: float) -> None:
    expected = scipy.stats.t.ppf(probability, freedom)
    assert student_t(probability, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_paired_difference_is_the_t_interval() -> None:
    row, baseline = [35.5, 33.0, 38.2, 30.1], [31.5, 27.0, 35.0, 28.9]
    interval = scipy.stats.ttest_rel(row, baseline).confidence_interval(0.95)
    mean, low, high = paired_difference(row, baseline)
    assert mean == pytest.approx(np.mean(np.subtract(row, baseline)))
    assert (low, high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    narrow = paired_difference(row, baseline, confidence=0.5)
    assert low < narrow[1] < mean < narrow[2] < high


def test_one_seed_has_no_interval() -> None:
    assert paired_difference([35.5], [31.5]) == (4.0, None, None)


def test_equal_differences_have_an_interval_of_no_width() -> None:
    assert paired_difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]) == (1.0, 1.0, 1.0)
