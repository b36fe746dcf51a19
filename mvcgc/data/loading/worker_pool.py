"""Batches read by worker processes: item by item into shared memory, ahead of who wants them.

The processes share out a batch's items, not whole batches: so a batch is there as soon as it can be, and what
is held in memory does not grow with their number as long as a batch has items for all.
"""

import os
import signal
import sys
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context, resource_tracker
from multiprocessing.process import BaseProcess
from types import ModuleType

import torch

from mvcgc.data.clips.item import Item, Sample, Unread
from mvcgc.data.clips.reading import Format, ViewArrays
from mvcgc.data.loading import worker
from mvcgc.data.loading.batch import Batch, collate
from mvcgc.data.loading.shared_memory import Memories
from mvcgc.errors import UserError

Read = Sample | Unread

Gathered = Batch | list[Unread] | BaseException
"""A batch, or those of its videos that cannot be read, or what else went wrong."""


@dataclass(frozen=True)
class Asked:
    """A batch that was asked for.

    Attributes:
        reads: one for each of its items.
        batch: what becomes of them.
    """

    reads: list[Future[Read]]
    batch: Future[Gathered]


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
        with _deaf():
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
        self._count = workers
        self._processes: set[BaseProcess] = set()
        weakref.finalize(self, _end, self._workers, self._thread)

    def ask(self, items: Sequence[Item]) -> Asked:
        """Begin to read a batch of ``items``. After an error there is nothing left to do with it but `kill`.

        Raises:
            BrokenProcessPool: a process died, see `died`.
            RuntimeError: processes cannot be started.
        """
        (path, memory), clips = self._memories.take(), sum(item.clips for item in items)
        reads, first = [], 0
        with self._starting() if len(self._processes) < self._count else nullcontext():
            for item in items:
                reads.append(self._workers.submit(worker.read, item, path, clips, first))
                first += item.clips
        return Asked(reads, self._thread.submit(self._gather, reads, self._format.within(memory, clips)))

    def died(self) -> str:
        """How the processes ended, of a pool that is broken, that ended by themselves."""
        for process in self._processes:
            process.join(1)  # those that are left have been told to end
        codes = {process.exitcode for process in self._processes} - {None, 0, -signal.SIGTERM}
        return ", ".join(
            f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            for code in sorted(code for code in codes if code is not None)
        )

    def kill(self) -> None:
        """End the processes at once: they have nothing to save, and nobody shall wait for what they read."""
        for process in self._processes:
            process.kill()

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """How workers, if any start here, are to start: deaf, and with nothing but what they need.

        They inherit a mask of signals, and so are safe from their first instant, with all threads that
        libraries start as they are imported. And they would import the program that was started here, and
        torch with it.
        """
        others, program = set(active_children()), sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            with _deaf():
                yield
        except BrokenProcessPool:
            raise
        except (OSError, RuntimeError) as error:
            raise RuntimeError(
                f"{self._count} processes that decode videos cannot all be started ({error}): use fewer with "
                "resources.<stage>.workers, or see what `ulimit -u` allows"
            ) from error
        finally:
            sys.modules["__main__"] = program
            self._processes |= set(active_children()) - others

    def _gather(self, reads: list[Future[Read]], arrays: ViewArrays) -> Gathered:
        """Wait for a batch that is read into ``arrays``. Runs in the pool's thread."""
        wait(reads)  # none is writing any more
        # Not raised here: an error would hold this frame, with the arrays, and the frame the error.
        if (error := next(filter(None, (read.exception() for read in reads)), None)) is not None:
            return error
        batch = collate([read.result() for read in reads], arrays)
        return batch.pin_memory() if self._pinned and isinstance(batch, Batch) else batch


@contextmanager
def _deaf() -> Iterator[None]:
    """Hold back the workers' signals; processes that start here never get them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, worker.SIGNALS)
    # Python's tracker of what processes share: it starts with the first of that, and then lifts the mask.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, worker.SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(workers: ProcessPoolExecutor, thread: ThreadPoolExecutor) -> None:
    # Without waiting: it may be this very thread that lets go of the pool.
    workers.shutdown(wait=False)
    thread.shutdown(wait=False)
