"""Worker processes for many files: a file that crashes its worker does not stop the others."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from mvcgc.die_with_parent import die_with

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_workers(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Result | None]]:
    """Yield (job, result) as jobs finish; the result is None for a job that crashed its worker.

    When a worker dies, all jobs in flight are suspects: they are retried one by one.

    Args:
        function: of a module, since it runs in other processes; raises nothing.
        jobs: hashable, each once.
        workers: number of processes.
    """
    todo = list(jobs)
    while todo:
        done: set[Job] = set()
        suspects: list[Job] = []
        for job, result in _in_pool(function, todo, workers, suspects.extend):
            done.add(job)
            yield job, result
        for job in suspects:
            alone = list(_in_pool(function, [job], 1, lambda _: None))
            done.add(job)
            yield alone[0] if alone else (job, None)
        todo = [job for job in todo if job not in done]


def _in_pool(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    broke: Callable[[list[Job]], None],
) -> Iterator[tuple[Job, Result]]:
    """Yield (job, result) as jobs finish. When a worker dies, pass ``broke`` the jobs in flight and end."""
    queue = iter(jobs)
    running: dict[Future[Result], Job] = {}
    pool = ProcessPoolExecutor(
        min(max(workers, 1), len(jobs)),
        multiprocessing.get_context("spawn"),
        initializer=obey,
        initargs=(os.getpid(),),
    )
    try:
        while True:
            # A short queue, so that an interrupt ends soon and few files are suspects when a process dies.
            while len(running) < 2 * workers and (job := next(queue, None)) is not None:
                running[pool.submit(function, job)] = job
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield running.pop(future), result
    except BrokenProcessPool:
        broke(list(running.values()))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def obey(parent: int) -> None:
    """Ignore Ctrl-C, which ``parent`` handles for all, and die with ``parent``.

    Otherwise a worker outlives a killed parent: it holds both ends of the pipe that it reads jobs from.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent, signal.SIGKILL)
