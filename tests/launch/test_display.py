import io
import re

import pytest
from plan_factories import make_graph, make_row
from rich.console import Console

from mvcgc.launch.display import (
    BarDisplay,
    LineDisplay,
    duration,
    failed_line,
    make_display,
    seconds_left,
    start_line,
)
from mvcgc.launch.local.machine import Share
from mvcgc.launch.report import Failure
from mvcgc.plan import Graph, Stage
from mvcgc.runs.journal import Progress, Status


@pytest.fixture
def graph() -> Graph:
    return make_graph([make_row()])


@pytest.fixture
def stage(graph: Graph) -> Stage:
    return graph.rows[0].stages["init/rgb"]


def progress(step: int, from_step: int = 0) -> Progress:
    return Progress(
        status=Status.RUNNING,
        step=step,
        total_steps=100,
        unit="step",
        from_step=from_step,
        begin_ms=1_000,
        ts_ms=11_000,
        metrics={"loss": 2.5, "clips_per_s": 123.4},
    )


def test_the_time_that_is_left() -> None:
    assert seconds_left(progress(20)) == pytest.approx(40)  # 10 s for 20 steps, 80 to go
    assert seconds_left(progress(60, from_step=40)) == pytest.approx(20)
    assert seconds_left(progress(40, from_step=40)) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (7265, "2 h 1 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(float(seconds)) == text


def test_lines(graph: Graph, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("mvcgc.launch.display.time.monotonic", lambda: now[0])
    said = io.StringIO()
    with LineDisplay(graph, Console(file=said, width=20)) as display:
        display.say("init/rgb starts [here] and goes on for longer than the console is wide")
        display.overall(2)
        for second in range(50):
            now[0] = float(second)
            display.running(stage, progress(second), elsewhere=False)
        display.over(stage)
        display.running(stage, Progress(), elsewhere=True)
    assert said.getvalue().splitlines() == [
        "[0/5] init/rgb starts [here] and goes on for longer than the console is wide",
        "[2/5] init/rgb: step 20/100 loss 2.5, 123 clips/s, 40 s left",
        "[2/5] init/rgb: step 40/100 loss 2.5, 123 clips/s, 15 s left",
    ]


def test_bars(graph: Graph, stage: Stage) -> None:
    drawn = io.StringIO()
    with BarDisplay(graph, Console(file=drawn, force_terminal=True, width=120)) as display:
        display.say("init/rgb starts [here]")
        display.running(stage, progress(20), elsewhere=True)
        display.overall(3)
        display.over(stage)
        display.overall(4)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn.getvalue())
    assert "init/rgb starts [here]" in plain
    assert re.search(r"init/rgb \(elsewhere\) .* 20/100 .* loss 2.5, 123 clips/s, 40 s left", plain)
    assert re.search(r"stages .* 3/5 ", plain)
    assert "init/rgb" not in plain.rpartition("4/5")[0].rpartition("stages")[2]
    assert drawn.getvalue().rstrip().endswith("\x1b[?25h"), "the cursor is back"


def test_a_terminal_gets_bars_and_a_log_lines(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(make_display(graph), BarDisplay)
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(make_display(graph), LineDisplay)


def test_start_and_failure(stage: Stage) -> None:
    assert start_line(stage, 1, None, Share(2, ())) == "init/rgb starts (2 cores)"
    assert start_line(stage, 3, 40, Share(1, ("0", "1"))) == (
        "init/rgb starts from step 40 (1 core, GPU 0,1, attempt 3)"
    )
    assert failed_line(stage, Failure("no memory", None)) == "init/rgb FAILED: no memory"
