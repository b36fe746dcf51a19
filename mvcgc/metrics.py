"""Figures of merit, and how sure they are."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int8
from torch import Tensor
from torch.nn import functional

_CHUNK = 256
"""Queries per block: ranking 256 of them against 250,000 videos takes under 1 GB."""
_WEIGHTS = 2**21
"""Weights of resampled videos held at a time: as float32 and as the integers that they come from, 60 MB."""


def topk_accuracy(scores: Float[Tensor, "N classes"], labels: Int[Tensor, " N"], k: int = 1) -> float:
    """Share of samples, in per cent, whose label is among the ``k`` best-scored classes.

    Of equal scores the lower class wins, so that a constant score has the accuracy of one class, not of all.
    """
    assert len(scores) > 0, "accuracy of no samples"
    return 100.0 * topk_hits(scores, labels, k).double().mean().item()


def topk_hits(
    scores: Float[Tensor, "N classes"], labels: Int[Tensor, " N"], k: int = 1
) -> Bool[Tensor, " N"]:
    """Which samples have their label among the ``k`` best-scored classes; see `topk_accuracy`."""
    best = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return (best == labels[:, None]).any(dim=1)


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


def bootstrap_intervals(
    differences: Sequence[Int8[np.ndarray, "_ N"]], confidence: float = 0.95, resamples: int = 10_000
) -> list[tuple[float, float]]:
    """Percentile intervals (low, high) of mean differences in per cent, each over its seeds and N videos.

    ``differences[i][s, v]`` is what a row's seed s scores on test video v less what its baseline's does: hit
    less hit, so -1, 0 or 1. A resample draws as many seeds, and as many videos, the same ones for all seeds:
    an interval tells how far the difference would move with other seeds and other test videos alike, or, of
    one seed, with other videos alone. All are judged by the same draws, of a generator with a fixed seed.

    Of few seeds a bootstrap sees too little: three vary 2/3 as much among themselves as around their mean.
    """
    assert all(found.shape[1] > 0 and len(found) > 0 for found in differences), "a difference of no videos"
    if not differences:
        return []
    videos = differences[0].shape[1]
    # Generators of their own: no interval depends on what else is asked for.
    seeds = {
        count: _draws(np.random.default_rng((0, count)), count, resamples)
        for count in {len(found) for found in differences}
    }
    rng = np.random.default_rng((1, videos))
    # In float32 sums of up to 2**24 ones are exact, so that no order of adding shows.
    stacked = np.concatenate(differences).astype(np.float32)
    ends = np.cumsum([len(found) for found in differences])
    means = np.empty((len(differences), resamples))
    block = max(1, _WEIGHTS // videos)
    for start in range(0, resamples, block):
        drawn = slice(start, min(start + block, resamples))
        sums = stacked @ _draws(rng, videos, drawn.stop - start).T
        for index, (found, end) in enumerate(zip(differences, ends, strict=True)):
            count = len(found)
            weighted = seeds[count][drawn].T * sums[end - count : end]
            means[index, drawn] = weighted.sum(axis=0, dtype=np.float64) / (count * videos)
    tails = [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]
    lows, highs = 100.0 * np.quantile(means, tails, axis=1)
    return [(float(low), float(high)) for low, high in zip(lows, highs, strict=True)]


def _draws(rng: np.random.Generator, count: int, resamples: int) -> Float32[np.ndarray, "resamples count"]:
    """How often each of ``count`` things is drawn when as many are drawn with replacement."""
    drawn = rng.integers(count, size=(resamples, count))
    places = drawn + count * np.arange(resamples)[:, None]
    return (
        np.bincount(places.ravel(), minlength=resamples * count).reshape(resamples, count).astype(np.float32)
    )
