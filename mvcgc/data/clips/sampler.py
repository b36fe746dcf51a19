"""Which samples make which batch, for every rank: a function of (seed, epoch, step), never of ranks or
workers.
"""

from collections.abc import Iterator

from mvcgc.data.clips.dataset import DrawDataset, WindowDataset
from mvcgc.data.clips.sampling import permutation
from mvcgc.errors import UserError


def check_batch(batch_size: int, videos: int, key: str) -> None:
    """Raise UserError if not even one batch can be made of so many videos. ``key`` names the setting."""
    if batch_size < 1:
        raise UserError(f"{key}={batch_size}: a batch has at least 1 video")
    if batch_size > videos:
        raise UserError(
            f"{key}={batch_size}: larger than the {videos} videos to train on; set {key} to {videos} or less"
        )


class EpochSampler:
    """The batches of one epoch after the other, from a position that can be set.

    Epoch e visits all videos in the order `permutation` (seed, e). Step i takes the i-th ``batch_size`` of
    them; what is left at the end is dropped. With ``accumulate`` = A the step comes as A micro-batches in a
    row, and of each rank r takes its contiguous share. Yields a rank's keys (epoch, index) of one
    micro-batch.
    """

    def __init__(
        self,
        videos: int,
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
        key: str = "batch_size",
    ) -> None:
        """``batch_size`` is global, per optimiser step. Raises UserError naming ``key`` if it cannot be
        shared out.
        """
        check_batch(batch_size, videos, key)
        if batch_size % (world * accumulate):
            raise UserError(
                f"{key}={batch_size}: cannot be shared evenly over {world} ranks x {accumulate} accumulated "
                f"micro-batches; use a multiple of {world * accumulate}"
            )
        self._videos, self._batch_size, self._seed = videos, batch_size, seed
        self._rank, self._accumulate = rank, accumulate
        self._share = batch_size // (world * accumulate)
        self._world = world
        self._epoch, self._step = 0, 0

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch."""
        return self._videos // self._batch_size

    @property
    def most_rows(self) -> int:
        """The rows of a micro-batch."""
        return self._share

    def __len__(self) -> int:
        """Micro-batches in a whole epoch."""
        return self.steps_per_epoch * self._accumulate

    def set_position(self, epoch: int, step: int = 0) -> None:
        """The next iteration yields ``epoch`` from ``step`` (optimiser steps) on."""
        assert 0 <= step <= self.steps_per_epoch, f"step {step} of {self.steps_per_epoch}"
        self._epoch, self._step = epoch, step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = permutation(self._seed, self._epoch, self._videos)
        epoch, share = self._epoch, self._share
        for micro in range(self._step * self._accumulate, len(self)):
            first = (micro * self._world + self._rank) * share
            yield [(epoch, index) for index in order[first : first + share]]


class WindowSampler:
    """A rank's share of a test: every video belongs to exactly one rank, none is repeated to fill up.

    Rank r takes videos r, r + world, ... . Yields items of the dataset, together at most ``rows`` clips (but
    at least one item); ``most_rows`` are the most that came together.
    """

    def __init__(
        self, dataset: WindowDataset | DrawDataset, rows: int, rank: int = 0, world: int = 1
    ) -> None:
        self._batches: list[list[tuple[int, tuple[int, ...]]]] = []
        self.most_rows = 0
        filled = rows
        for index in shard(len(dataset), rank, world):
            for item in dataset.plan(index):
                if not self._batches or filled + dataset.rows(item) > rows:
                    self._batches.append([])
                    filled = 0
                self._batches[-1].append(item)
                filled += dataset.rows(item)
                self.most_rows = max(self.most_rows, filled)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[tuple[int, tuple[int, ...]]]]:
        return iter(self._batches)


def shard(count: int, rank: int, world: int) -> range:
    """The indices of 0 .. count - 1 that belong to ``rank``: over all ranks each exactly once, without
    padding.
    """
    return range(rank, count, world)
