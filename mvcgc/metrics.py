"""Figures of merit, and how sure they are."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

_CHUNK = 256
"""Queries per block: ranking 256 of them against 250,000 videos takes under 1 GB."""


def topk_accuracy(scores: Float[Tensor, "N classes"], labels: Int[Tensor, " N"], k: int = 1) -> float:
    """Share of samples, in per cent, whose label is among the ``k`` best-scored classes.

    Of equal scores the lower class wins, so that a constant score has the accuracy of one class, not of all.
    """
    assert len(scores) > 0, "accuracy of no samples"
    best = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return 100.0 * (best == labels[:, None]).any(dim=1).double().mean().item()


def retrieval_ranks(
    test_features: Float[Tensor, "N D"],
    test_labels: Int[Tensor, " N"],
    train_features: Float[Tensor, "M D"],
    train_labels: Int[Tensor, " M"],
    most: int = 50,
) -> Int[Tensor, " N"]:
    """How many training videos of other classes each test video finds before the first of its own.

    Nearest first by cosine similarity; of equal ones the earlier training video is the nearer. Where none of
    the ``most`` nearest is of its class, the rank is a number beyond every k.
    """
    assert len(test_features) > 0, "retrieval of no samples"
    assert len(train_features) > 0, "retrieval from no samples"
    gallery = functional.normalize(train_features, dim=1)
    first = []
    for start in range(0, len(test_features), _CHUNK):
        block, labels = test_features[start : start + _CHUNK], test_labels[start : start + _CHUNK]
        similarity = functional.normalize(block, dim=1) @ gallery.T
        nearest = similarity.sort(dim=1, descending=True, stable=True).indices[:, :most]
        first.append(_first_hit(train_labels[nearest] == labels[:, None]))
    return torch.cat(first)


def recall_at(ranks: Int[Tensor, " N"], k: int) -> float:
    """R@k: share of test videos, in per cent, with a video of their class among the k nearest.

    ``ranks`` are `retrieval_ranks`; k beyond the training set takes all of it.
    """
    return 100.0 * (ranks < k).double().mean().item()


def _first_hit(hits: Bool[Tensor, "N k"]) -> Int[Tensor, " N"]:
    """Position of the first True of every row; a number beyond every k where there is none."""
    position = hits.int().argmax(dim=1)
    return position.masked_fill(~hits.any(dim=1), torch.iinfo(torch.int64).max)


def mean_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1) over seeds; no deviation of a single one."""
    assert len(values) > 0, "mean of no values"
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def paired_difference(
    row: Sequence[float], baseline: Sequence[float], confidence: float = 0.95
) -> tuple[float, float | None, float | None]:
    """Mean difference of a row to the baseline and its confidence interval (low, high); None for one seed.

    ``row[i]`` and ``baseline[i]`` share a seed. Student's t over the n differences: mean -+ t(n - 1) * s /
    sqrt(n). It tells how far the difference would move with other seeds, not with other data.
    """
    assert len(row) == len(baseline), "the seeds of a row and of its baseline must pair up"
    differences = [a - b for a, b in zip(row, baseline, strict=True)]
    mean, deviation = mean_std(differences)
    if deviation is None:
        return mean, None, None
    half = student_t(0.5 + confidence / 2.0, len(differences) - 1) * deviation / math.sqrt(len(differences))
    return mean, mean - half, mean + half


def student_t(probability: float, freedom: int) -> float:
    """Quantile of Student's t distribution, for a probability of at least one half and whole degrees of
    freedom.
    """
    assert 0.5 <= probability < 1.0
    assert freedom >= 1
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < probability:
        high *= 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if _student_cdf(middle, freedom) < probability else (low, middle)
    return 0.5 * (low + high)


def _student_cdf(t: float, freedom: int) -> float:
    """P(T <= t) for t >= 0: the finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    theta = math.atan(t / math.sqrt(freedom))
    cos2 = math.cos(theta) ** 2
    odd = freedom % 2 == 1
    term = math.cos(theta) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for j in range(2 + odd, freedom - 1, 2):
        term *= cos2 * (j - 1) / j
        total += term
    inside = 2.0 / math.pi * (theta + math.sin(theta) * total) if odd else math.sin(theta) * total
    return 0.5 + 0.5 * inside
