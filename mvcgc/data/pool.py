"""Batches read by worker processes: item by item into shared memory, ahead of who wants them.

The processes share out a batch's items, not whole batches: so a batch is there as soon as it can be, and what
is held in memory depends on how many batches are read ahead, not on how many processes read them.
"""

import os
import signal
import sys
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context, resource_tracker
from multiprocessing.process import BaseProcess
from types import ModuleType

import torch

from mvcgc.data import worker
from mvcgc.data.batch import Batch, collate
from mvcgc.data.item import Item, Sample, Unread
from mvcgc.data.shared import Memories
from mvcgc.data.views import Format, ViewArrays
from mvcgc.errors import UserError

Read = Sample | Unread


@dataclass(frozen=True)
class Asked:
    """A batch that was asked for.

    Attributes:
        reads: one for each of its items.
        batch: what becomes of them: the batch, or those of its videos that cannot be read.
    """

    reads: list[Future[Read]]
    batch: Future[Batch | list[Unread]]

    def cancel(self) -> None:
        """Leave out what has not begun."""
        for read in self.reads:
            read.cancel()


class Pool:
    """``workers`` processes that read the clips of batches, and a thread that puts these together.

    They end with the pool, with this process, or when it is killed.
    """

    def __init__(self, workers: int, form: Format, most_clips: int, device: torch.device) -> None:
        """No batch has more than ``most_clips`` clips. If ``device`` is a GPU they end in page-locked memory.

        Raises:
            UserError: the system is not Linux.
        """
        if not sys.platform.startswith("linux"):
            raise UserError("workers share memory as Linux alone does; set resources.<stage>.workers=0")
        self._format, self._pinned = form, device.type == "cuda"
        self._memories = Memories(form.nbytes(most_clips))
        self._workers = ProcessPoolExecutor(
            workers,
            # Never fork: this process has threads (torch, NCCL) and perhaps a GPU context.
            mp_context=get_context("spawn"),
            initializer=worker.settle,
            initargs=(os.getpid(),),
        )
        self._thread = ThreadPoolExecutor(
            1,
            thread_name_prefix="batches",
            # A thread begins with the first GPU: all ranks of a node would take memory there.
            initializer=partial(torch.cuda.set_device, device) if self._pinned else None,
        )
        self._processes: set[BaseProcess] = set()
        weakref.finalize(self, _end, self._workers, self._thread)

    def ask(self, items: Sequence[Item]) -> Asked:
        """Begin to read a batch of ``items``."""
        (path, memory), clips = self._memories.take(), sum(item.clips for item in items)
        reads, first, others = [], 0, set(active_children())
        with _starting():
            for item in items:
                reads.append(self._workers.submit(worker.read, item, path, clips, first))
                first += item.clips
        self._processes |= set(active_children()) - others
        return Asked(reads, self._thread.submit(self._gather, reads, self._format.within(memory, clips)))

    def died(self) -> str:
        """How processes ended that ended by themselves."""
        codes = {process.exitcode for process in self._processes} - {None, 0, -signal.SIGTERM}
        return ", ".join(
            f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            for code in sorted(code for code in codes if code is not None)
        )

    def _gather(self, reads: list[Future[Read]], arrays: ViewArrays) -> Batch | list[Unread]:
        """Wait for a batch that is read into ``arrays``. Runs in the pool's thread."""
        samples, unread = [], []
        try:
            for read in reads:
                found = read.result()
                if isinstance(found, Unread):
                    unread.append(found)
                else:
                    samples.append(found)
        finally:
            for read in reads:
                with suppress(CancelledError):
                    read.exception()  # is not writing any more
        if unread:
            return unread
        head = (-1, samples[0].draws.shape[1])
        views = {view: array.reshape(*head, *array.shape[1:]) for view, array in arrays.items()}
        batch = collate(samples, {view: torch.from_numpy(array) for view, array in views.items()})
        return batch.pin_memory() if self._pinned else batch


@contextmanager
def _starting() -> Iterator[None]:
    """How workers, if any start here, are to start: deaf, and with nothing but what they need.

    They inherit a mask of signals, and so are safe from their first instant, with all threads that libraries
    start as they are imported. And they would import the program that was started here, and torch with it.
    """
    resource_tracker.ensure_running()  # which Python starts with the first worker, and then lifts the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, worker.SIGNALS)
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(workers: ProcessPoolExecutor, thread: ThreadPoolExecutor) -> None:
    # Without waiting: it may be this very thread that lets go of the pool.
    workers.shutdown(wait=False, cancel_futures=True)
    thread.shutdown(wait=False, cancel_futures=True)
