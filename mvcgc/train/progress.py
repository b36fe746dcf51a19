"""How a run shows itself to whoever watches rank 0: a bar on a terminal, plain lines in a log."""

import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SHOWN = 4


class ProgressLine:
    """Progress of ``name`` through ``total`` steps; silent if ``enabled`` is False. A context manager."""

    def __init__(self, name: str, total: int, done: int, enabled: bool) -> None:
        self._name, self._total, self._first = name, total, done
        self._enabled = enabled
        self._started = time.monotonic()
        self._bar = None
        if enabled and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=Console(stderr=True),
            )
            self._job = self._bar.add_task(name, total=total, completed=done, figures="")

    def advance(self, step: int) -> None:
        """``step`` steps are done; moves the bar and writes nothing to a log."""
        if self._bar is not None:
            self._bar.update(self._job, completed=step)

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show the figures after ``step`` steps."""
        if not self._enabled:
            return
        if self._bar is not None:
            shown = [f"{name} {value:.4g}" for name, value in metrics.items() if not math.isnan(value)]
            self._bar.update(self._job, completed=step, figures=" ".join(shown[:SHOWN]))
            return
        rate = (time.monotonic() - self._started) / max(1, step - self._first)
        figures = " ".join(f"{name}={value:.6g}" for name, value in metrics.items())
        left = round(rate * (self._total - step))
        print(
            f"{self._name} step {step}/{self._total} {figures} (about {left} s left)",
            file=sys.stderr,
            flush=True,
        )

    def __enter__(self) -> "ProgressLine":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
