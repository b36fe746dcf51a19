"""Batches from datasets, decoded in this process or in workers; the batches are the same either way."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from itertools import accumulate

import torch

from mvcgc.data.augment.base import Augmentation
from mvcgc.data.clips.dataset import ClipDataset, RandomDataset, Source, WindowDataset
from mvcgc.data.clips.item import Item, Unread
from mvcgc.data.clips.sampler import EpochSampler, WindowSampler
from mvcgc.data.loading.batch import Batch, collate
from mvcgc.data.loading.worker_pool import Asked, Pool

AHEAD = 2
"""Batches that are read while another one is in use, and items for every worker: or more, until both are."""


class UnreadableVideos(RuntimeError):
    """Videos of a batch cannot be read; the message counts them and names each with its reason."""

    def __init__(self, unread: Sequence[Unread], batch: int) -> None:
        named = "; ".join(one.message for one in unread)
        super().__init__(f"{len(unread)} of {batch} videos of the batch cannot be read: {named}")
        self.names = [one.name for one in unread]


class Loader:
    """Iterates over the batches of one epoch (or test); ``sampler`` sets where it starts. May be iterated
    again.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        sampler: EpochSampler | WindowSampler,
        workers: int,
        device: torch.device,
    ) -> None:
        """``workers`` processes (0: this one) decode; batches are pinned if ``device`` is a GPU."""
        self.sampler = sampler
        self._dataset, self._workers, self._device = dataset, workers, device
        self._pool: Pool | None = None

    def __len__(self) -> int:
        """Batches in a whole epoch or test."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        """Batches on the host.

        Raises:
            UnreadableVideos: at the first batch that has an unreadable video.
            UserError: workers on a system that is not Linux.
            RuntimeError: a worker died.
        """
        return self._helped() if self._workers else self._alone()

    def _alone(self) -> Iterator[Batch]:
        for keys in self.sampler:
            batch = read([self._dataset.item(key) for key in keys])
            yield batch.pin_memory() if self._device.type == "cuda" else batch

    def _helped(self) -> Iterator[Batch]:
        if self._pool is None:
            form, most = self._dataset.source.format, self.sampler.most_rows * self._dataset.clips
            self._pool = Pool(self._workers, form, most, self._device)
        pool, asked, ended = self._pool, deque[Asked](), False
        try:
            for keys in self.sampler:
                asked.append(pool.ask([self._dataset.item(key) for key in keys]))
                while len(asked) > AHEAD and sum(len(one.reads) for one in asked) > AHEAD * self._workers:
                    yield _next(asked)
            ended = not asked
            while asked:
                batch = _next(asked)
                ended = not asked  # who knows how many there are need not come back for the end
                yield batch
        except BrokenProcessPool as error:
            how = pool.died()
            hint = ", mostly for want of memory: see the node's log, or use fewer workers" * ("KILL" in how)
            raise RuntimeError(
                f"a process that decodes videos ended {how or 'unexpectedly'}{hint}"
            ) from error
        finally:
            if not ended:
                # Left early, mostly for good: nobody waits for what is still being read.
                pool.kill()
                self._pool = None
            asked.clear()


def read(items: Sequence[Item]) -> Batch:
    """The batch of ``items``, read in this process. Raises UnreadableVideos."""
    clips = [item.clips for item in items]
    arrays = items[0].format.empty(sum(clips))
    firsts = accumulate(clips[:-1], initial=0)
    found = [item.read(arrays, first) for item, first in zip(items, firsts, strict=True)]
    return _readable(collate(found, arrays), len(items))


def _next(asked: deque[Asked]) -> Batch:
    first = asked.popleft()
    batch = first.batch.result()
    try:
        if isinstance(batch, BaseException):
            raise batch
        return _readable(batch, len(first.reads))
    finally:
        del first, batch  # an error would hold them, and they the error


def _readable(batch: Batch | list[Unread], items: int) -> Batch:
    if isinstance(batch, Batch):
        return batch
    raise UnreadableVideos(batch, items)


def train_loader(
    source: Source,
    augmentation: Augmentation,
    *,
    clips: int,
    batch_size: int,
    seed: int,
    workers: int,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
    accumulate: int = 1,
    key: str = "batch_size",
) -> Loader:
    """Random clips (2 for contrast, 1 for supervised training), see `RandomDataset` and `EpochSampler`."""
    sampler = EpochSampler(
        len(source), batch_size, seed, rank=rank, world=world, accumulate=accumulate, key=key
    )
    return Loader(RandomDataset(source, augmentation, seed, clips), sampler, workers, device)


def eval_loader(
    source: Source,
    *,
    crops: int,
    rows: int,
    workers: int,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
    most_windows: int = 0,
) -> Loader:
    """Every crop of every window of this rank's videos, about ``rows`` clips a batch, see `WindowSampler`.

    A video's clips may spread over several batches, but only this rank has any of them.
    """
    dataset = WindowDataset(source, crops, most_windows, rows)
    return Loader(dataset, WindowSampler(dataset, rows, rank, world), workers, device)
