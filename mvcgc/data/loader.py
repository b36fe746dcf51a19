"""Batches from datasets, decoded in this process or in workers; the batches are the same either way."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import resource_tracker
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from mvcgc.data import heap
from mvcgc.data.batch import Batch, Sample, collate
from mvcgc.data.dataset import DrawDataset, RandomDataset, Source, Unread, WindowDataset
from mvcgc.data.sampler import EpochSampler, WindowSampler
from mvcgc.data.sampling import AugmentConfig

WORKER_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
"""Schedulers send these to every process of a job; workers go on, so that the step can end and be saved."""

_PREFETCH = 2
_PR_SET_PDEATHSIG = 1


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
        dataset: RandomDataset | WindowDataset | DrawDataset,
        sampler: EpochSampler | WindowSampler,
        workers: int,
        device: torch.device,
    ) -> None:
        """``workers`` processes (0: this one) decode; batches are pinned if ``device`` is a GPU."""
        self.sampler = sampler
        self._workers = workers
        batches: Sampler[Any] = sampler
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=device.type == "cuda",
            # Its own: from the global one every iteration would draw, and a resumed run go on differently.
            generator=torch.Generator(),
            worker_init_fn=partial(_settle_worker, os.getpid()) if workers else None,
            # Never fork: the parent has threads (torch, NCCL) and perhaps a GPU context.
            multiprocessing_context="spawn" if workers else None,
            persistent_workers=workers > 0,
            prefetch_factor=_PREFETCH if workers else None,
        )

    def __len__(self) -> int:
        """Batches in a whole epoch or test."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        """Batches on the host. Raises UnreadableVideos at the first that has an unreadable video."""
        if self._workers:
            with _signals_held():
                batches = iter(self._loader)
        else:
            batches = iter(self._loader)
        for batch in batches:
            if isinstance(batch, UnreadableBatch):
                raise UnreadableVideos(batch.unread, batch.size)
            yield batch


class UnreadableBatch:
    """Stands for a batch with unreadable videos on its way from a worker."""

    def __init__(self, unread: list[Unread], size: int) -> None:
        self.unread, self.size = unread, size


def train_loader(
    source: Source,
    augment: AugmentConfig,
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
    return Loader(RandomDataset(source, augment, seed, clips), sampler, workers, device)


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


def _collate(samples: list[Sample | Unread]) -> Batch | UnreadableBatch:
    unread = [sample for sample in samples if isinstance(sample, Unread)]
    if unread:
        return UnreadableBatch(unread, len(samples))
    return collate([sample for sample in samples if isinstance(sample, Sample)])


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold the workers' signals while they start: they inherit the mask, and so are safe from their first
    instant, with all threads that libraries start as they are imported.
    """
    resource_tracker.ensure_running()  # which Python starts with the first worker, and then lifts the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WORKER_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settle_worker(parent: int, worker: int) -> None:  # noqa: ARG001 - the form torch asks for
    """Be deaf to the scheduler, obey the parent's terminate(), and die with the parent however it dies."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WORKER_SIGNALS)
    threading.Thread(target=_obey, args=(parent,), daemon=True).start()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    heap.keep_freed()
    if os.getppid() != parent:  # it died before it could be watched
        os._exit(1)


def _obey(parent: int) -> None:
    """Leave on a SIGTERM from the parent itself: so multiprocessing ends what its parent leaves."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)
