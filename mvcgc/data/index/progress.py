"""Progress of work on many files: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 10.0


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields ``advance(n)``: n more of ``total`` are done. Writes to stderr, nothing if ``total`` is 0."""
    console = Console(stderr=True)
    if total == 0:
        yield lambda _: None
    elif console.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as bar:
            task = bar.add_task(title, total=total)
            yield lambda n: bar.advance(task, n)
    else:
        yield _Lines(title, total).advance


class _Lines:
    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self._done = 0
        self._next = time.monotonic() + LINE_EVERY_S

    def advance(self, count: int) -> None:
        self._done += count
        if self._done >= self._total or time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY_S
            print(f"{self._title}: {self._done} of {self._total}", file=sys.stderr, flush=True)
