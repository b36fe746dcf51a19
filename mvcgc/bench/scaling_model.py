"""A model of how a pre-training step scales, fitted to steps and sums on one machine.

A step computes for a time that does not depend on the number of ranks N (each has its own share of videos),
and communicates by kinds: gradients and batch-norm statistics are summed over a ring, 2 (N - 1) messages of
1 / N of the bytes each; clips are shuffled and keys gathered in N - 1 messages. A message takes the latency,
plus its bytes over the bandwidth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SUMMED = ("gradients", "statistics", "flags")
"""Kinds that travel as sums; the others go to, or come from, each other rank once."""


@dataclass(frozen=True)
class Network:
    """Seconds of a message's latency, and bytes per second of one rank."""

    latency_s: float
    bandwidth: float

    def seconds(self, kind: str, size: float, ranks: int) -> float:
        """What it takes each of ``ranks`` ranks to exchange ``size`` bytes of its own."""
        if ranks == 1:
            return 0.0
        if kind in SUMMED:
            messages, volume = 2 * (ranks - 1), 2 * (ranks - 1) / ranks * size
        elif kind == "gather":
            messages, volume = ranks - 1, (ranks - 1) * size
        else:
            messages, volume = ranks - 1, (ranks - 1) / ranks * size
        return messages * self.latency_s + volume / self.bandwidth


def fit(sums: Mapping[int, Mapping[int, float]]) -> Network:
    """The network on which sums of so many bytes over so many ranks took so many seconds.

    Least squares of relative errors; neither latency nor the time per byte can be negative.
    """
    rows, ones = [], []
    for ranks, timings in sums.items():
        for size, seconds in timings.items():
            rows.append([2 * (ranks - 1) / seconds, 2 * (ranks - 1) / ranks * size / seconds])
            ones.append(1.0)
    found, *_ = np.linalg.lstsq(np.array(rows), np.array(ones), rcond=None)
    latency, per_byte = (max(float(value), 1e-12) for value in found)
    return Network(latency, 1.0 / per_byte)


@dataclass(frozen=True)
class Step:
    """A step of one rank alone: seconds of computing, the share of them that are the backward pass, and the
    bytes that it hands to collectives by kind. Gradients travel in ``buckets`` messages.
    """

    compute_s: float
    backward_share: float
    bytes: Mapping[str, float]
    buckets: int = 1

    def seconds(self, network: Network, ranks: int, overlap: bool) -> float:
        """A step with ``ranks`` ranks. With ``overlap`` gradients travel behind the backward pass, but for
        their last bucket; without it everything waits.
        """
        total = self.compute_s
        for kind, size in self.bytes.items():
            if kind != "gradients":
                total += network.seconds(kind, size, ranks)
                continue
            last = network.seconds(kind, size / self.buckets, ranks)
            hidden = self.backward_share * self.compute_s if overlap else 0.0
            total += last + max(0.0, (self.buckets - 1) * last - hidden)
        return total

    def efficiency(self, network: Network, ranks: Sequence[int], overlap: bool) -> list[float]:
        """Speed per rank, relative to one rank alone."""
        return [self.compute_s / self.seconds(network, number, overlap) for number in ranks]
