"""Displays of an execution: a bar per running stage on a terminal, plain lines in a log."""

import time
from abc import ABC, abstractmethod
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mvcgc.launch.local.machine import Share
from mvcgc.launch.report import Failure
from mvcgc.plan import Graph, Stage, headline
from mvcgc.runs.folder import Done
from mvcgc.runs.journal import Progress as StageProgress
from mvcgc.runs.progress_text import describe, duration, figures

# A log has a line per running stage this often.
LINE_EVERY_S = 20.0


class Display(ABC):
    """Shows the progress of an execution; a context manager."""

    def __enter__(self) -> "Display":
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Start the display."""

    @abstractmethod
    def say(self, line: str) -> None:
        """Print a line that stays."""

    @abstractmethod
    def running(self, stage: Stage, progress: StageProgress, elsewhere: bool) -> None:
        """Show the progress of a running stage, run here or ``elsewhere``."""

    @abstractmethod
    def over(self, stage: Stage) -> None:
        """Remove a stage that has ended."""

    @abstractmethod
    def overall(self, done: int) -> None:
        """Show the number of finished stages. Called regularly."""

    @abstractmethod
    def close(self) -> None:
        """End the display."""


def make_display(graph: Graph) -> Display:
    """Return bars if stderr is a terminal, else lines."""
    console = Console(stderr=True)
    return BarDisplay(graph, console) if console.is_terminal else LineDisplay(graph, console)


class LineDisplay(Display):
    """Plain lines: starts, ends, and every `LINE_EVERY_S` the progress of each stage."""

    def __init__(self, graph: Graph, console: Console, every_s: float = LINE_EVERY_S) -> None:
        self._console = console
        self._every_s = every_s
        self._total = len(graph.stages)
        self._done = 0
        self._spoken: dict[str, float] = {}

    def open(self) -> None:
        """Do nothing."""

    def say(self, line: str) -> None:
        """Print a line after the number of finished stages."""
        self._console.out(f"[{self._done}/{self._total}] {line}", highlight=False)

    def running(self, stage: Stage, progress: StageProgress, elsewhere: bool) -> None:
        """Print a progress line if the last one is long ago."""
        now = time.monotonic()
        if now - self._spoken.setdefault(stage.id, now) < self._every_s or not progress.total_steps:
            return
        self._spoken[stage.id] = now
        where = " (run elsewhere)" if elsewhere else ""
        self.say(f"{stage.name}{where}: {describe(progress)}")

    def over(self, stage: Stage) -> None:
        """Print nothing: `say` has reported the end."""
        self._spoken.pop(stage.id, None)

    def overall(self, done: int) -> None:
        """Remember the number for the next line."""
        self._done = done

    def close(self) -> None:
        """Do nothing."""


class BarDisplay(Display):
    """A bar per running stage and one for the graph. Drawn when `overall` is called: no threads."""

    def __init__(self, graph: Graph, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            auto_refresh=False,
            # Stages print to their own logs; other output of this process must not tear the bars.
            redirect_stdout=True,
            redirect_stderr=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._whole = self._bars.add_task("[bold]stages", total=len(graph.stages), figures="")

    def open(self) -> None:
        """Reserve the terminal's last lines."""
        self._bars.start()

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._bars.console.out(line, highlight=False)

    def running(self, stage: Stage, progress: StageProgress, elsewhere: bool) -> None:
        """Move the stage's bar."""
        name = f"{stage.name} (elsewhere)" if elsewhere else stage.name
        if stage.id not in self._tasks:
            self._tasks[stage.id] = self._bars.add_task(escape(name), total=None, figures="")
        self._bars.update(
            self._tasks[stage.id],
            total=progress.total_steps or None,
            completed=progress.step,
            figures=escape(figures(progress)),
        )

    def over(self, stage: Stage) -> None:
        """Remove the stage's bar."""
        task = self._tasks.pop(stage.id, None)
        if task is not None:
            self._bars.remove_task(task)

    def overall(self, done: int) -> None:
        """Move the graph's bar and draw."""
        self._bars.update(self._whole, completed=done)
        self._bars.refresh()

    def close(self) -> None:
        """Restore the terminal."""
        self._bars.stop()


def start_line(stage: Stage, attempt: int, from_step: int | None, share: Share) -> str:
    """Return the line for a stage that starts."""
    ranks = f"{stage.runtime.ranks} ranks on " if stage.runtime.ranks > 1 else ""
    cores = f"{share.cores} core{'s' if share.cores > 1 else ''}"
    gpus = f", GPU {','.join(share.gpus)}" if share.gpus else ""
    again = f", attempt {attempt}" if attempt > 1 else ""
    where = f" from step {from_step}" if from_step is not None else ""
    return f"{stage.name} starts{where} ({ranks}{cores}{gpus}{again})"


def finished_line(stage: Stage, done: Done, seconds: float) -> str:
    """Return the line for a stage that finished here."""
    shown = headline(done.metrics)
    return f"{stage.name} done in {duration(seconds)}" + (f": {shown}" if shown else "")


def failed_line(stage: Stage, failure: Failure) -> str:
    """Return the line for a stage that failed, with its log."""
    log = f" (log: {failure.log})" if failure.log else ""
    return f"{stage.name} FAILED: {failure.reason}{log}"
