"""A root of runs whose stages are played by ``fake_stage.py``."""

import json
import multiprocessing
import os
import signal
import sys
import uuid
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from plan_factories import make_graph, make_row
from rich.console import Console

from mvcgc.launch.display import LineDisplay
from mvcgc.launch.local.execute import execute
from mvcgc.launch.local.machine import Capacity
from mvcgc.launch.report import Report
from mvcgc.plan import Graph

FAKE_STAGE = Path(__file__).with_name("fake_stage.py")


@dataclass
class FakeStages:
    """Behaviours in, events out."""

    root: Path

    @property
    def command(self) -> list[str]:
        """What `execute` starts for a rank."""
        return [sys.executable, str(FAKE_STAGE), str(self.root)]

    def behave(self, **behaviour: dict[str, Any]) -> None:
        """By the name of a stage, ``_`` for its slash and ``any`` for all others."""
        named = {"*" if key == "any" else key.replace("_", "/"): value for key, value in behaviour.items()}
        (self.root / "behaviour.json").write_text(json.dumps(named))

    def run(self, graph: Graph, cores: int = 8, gpus: tuple[str, ...] = ()) -> tuple[Report, str]:
        """Execute and return what was printed, too."""
        said = StringIO()
        display = LineDisplay(graph, Console(file=said))
        report = execute(
            graph, self.root, capacity=Capacity(cores, gpus), display=display, command=self.command
        )
        return report, said.getvalue()

    def events(self, what: str | None = None) -> list[dict[str, Any]]:
        """What the fakes did, in order."""
        path = self.root / "events"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [event for event in found if what in (None, event["what"])]

    def started(self) -> list[str]:
        """Names of the stages that rank 0 started, in order."""
        return [event["stage"] for event in self.events("start") if event["rank"] == 0]

    def locks(self) -> list[Path]:
        """Locks that somebody holds."""
        # Unlike rglob, it bears folders that go meanwhile.
        return [
            Path(folder) / "lock" for folder, _, files in os.walk(self.root / "stages") if "lock" in files
        ]


def _execute(root: Path, ks: list[int], output: Path) -> None:
    with output.open("w", buffering=1) as said:
        graph = make_graph([make_row(method__k=k) for k in ks])
        display = LineDisplay(graph, Console(file=said), every_s=0.5)
        command = FakeStages(root).command
        report = execute(graph, root, purpose="other", capacity=Capacity(8), display=display, command=command)
    sys.exit(report.exit_code)


class Executor:
    """An execution in a process of its own, of one row for each of ``ks``.

    It is forked off a server that has imported everything: only the first one takes seconds to start.
    """

    def __init__(self, fakes: FakeStages, ks: list[int]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["mvcgc.launch.local.execute"])
        self._output = fakes.root / f"said-{uuid.uuid4().hex}"
        self._process = context.Process(target=_execute, args=(fakes.root, ks, self._output))
        self._process.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.is_alive()

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self._output.read_text() if self._output.exists() else ""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        self._process.join(60)
        assert self._process.exitcode is not None, f"still running, and said: {self.said}"
        return self._process.exitcode
