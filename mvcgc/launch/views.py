"""How an execution shows itself: a bar per running stage on a terminal, plain lines in a log."""

import time
from abc import ABC, abstractmethod
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mvcgc.launch.machine import Share
from mvcgc.launch.report import Failure
from mvcgc.plan import Graph, Stage, headline
from mvcgc.runs.folder import Done
from mvcgc.runs.journal import Progress as StageProgress
from mvcgc.runs.progress_text import describe, duration, figures

# In a log, a running stage is heard of this often.
LINE_EVERY_S = 20.0


class View(ABC):
    """Told of everything that happens; a context manager."""

    def __enter__(self) -> "View":
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Something will come."""

    @abstractmethod
    def say(self, line: str) -> None:
        """Print a line for good."""

    @abstractmethod
    def running(self, stage: Stage, progress: StageProgress, elsewhere: bool) -> None:
        """A stage runs, here or ``elsewhere``, and stands there."""

    @abstractmethod
    def over(self, stage: Stage) -> None:
        """A stage runs no more."""

    @abstractmethod
    def overall(self, done: int) -> None:
        """So many stages of the graph are finished. Called regularly."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will come."""


def make_view(graph: Graph) -> View:
    """Bars if stderr is a terminal, lines if not."""
    console = Console(stderr=True)
    return BarView(graph, console) if console.is_terminal else LineView(graph, console)


class LineView(View):
    """Plain lines: starts, ends, and now and then how far each stage is."""

    def __init__(self, graph: Graph, console: Console, every_s: float = LINE_EVERY_S) -> None:
        self._console = console
        self._every_s = every_s
        self._total = len(graph.stages)
        self._done = 0
        self._spoken: dict[str, float] = {}

    def open(self) -> None:
        """Nothing is held."""

    def say(self, line: str) -> None:
        """Print it with how many stages are finished."""
        self._console.out(f"[{self._done}/{self._total}] {line}", highlight=False)

    def running(self, stage: Stage, progress: StageProgress, elsewhere: bool) -> None:
        """Speak of it if it was long not spoken of."""
        now = time.monotonic()
        if now - self._spoken.setdefault(stage.id, now) < self._every_s or not progress.total_steps:
            return
        self._spoken[stage.id] = now
        where = " (run elsewhere)" if elsewhere else ""
        self.say(f"{stage.name}{where}: {describe(progress)}")

    def over(self, stage: Stage) -> None:
        """Nothing to say: `say` has told why."""
        self._spoken.pop(stage.id, None)

    def overall(self, done: int) -> None:
        """Remember it for the next line."""
        self._done = done

    def close(self) -> None:
        """Nothing is held."""


class BarView(View):
    """A bar per running stage and one for the whole. Drawn by whoever calls `overall`: no threads."""

    def __init__(self, graph: Graph, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            auto_refresh=False,
            # What stages print stays in their logs; what others print in this process must not tear the bars.
            redirect_stdout=True,
            redirect_stderr=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._whole = self._bars.add_task("[bold]stages", total=len(graph.stages), figures="")

    def open(self) -> None:
        """Take hold of the terminal's last lines."""
        self._bars.start()

    def say(self, line: str) -> None:
        """Print it above the bars."""
        self._bars.console.out(line, highlight=False)

    def running(self, stage: Stage, progress: StageProgress, elsewhere: bool) -> None:
        """Move its bar."""
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
        """Take its bar away."""
        task = self._tasks.pop(stage.id, None)
        if task is not None:
            self._bars.remove_task(task)

    def overall(self, done: int) -> None:
        """Move the bar of the whole and draw."""
        self._bars.update(self._whole, completed=done)
        self._bars.refresh()

    def close(self) -> None:
        """Leave the terminal as it was found."""
        self._bars.stop()


def start_line(stage: Stage, attempt: int, from_step: int | None, share: Share) -> str:
    """What a stage starts with."""
    ranks = f"{stage.runtime.ranks} ranks on " if stage.runtime.ranks > 1 else ""
    cores = f"{share.cores} core{'s' if share.cores > 1 else ''}"
    gpus = f", GPU {','.join(share.gpus)}" if share.gpus else ""
    again = f", attempt {attempt}" if attempt > 1 else ""
    where = f" from step {from_step}" if from_step is not None else ""
    return f"{stage.name} starts{where} ({ranks}{cores}{gpus}{again})"


def finished_line(stage: Stage, done: Done, seconds: float) -> str:
    """How a stage that ran here ended well."""
    shown = headline(done.metrics)
    return f"{stage.name} done in {duration(seconds)}" + (f": {shown}" if shown else "")


def failed_line(stage: Stage, failure: Failure) -> str:
    """How a stage failed, and where to read on."""
    log = f" (log: {failure.log})" if failure.log else ""
    return f"{stage.name} FAILED: {failure.reason}{log}"
