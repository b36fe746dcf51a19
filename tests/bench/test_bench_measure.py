"""Rounds take turns, phases do not count twice, reports are whole."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mvcgc.bench import measure
from mvcgc.phases import observed, phase

CPU = torch.device("cpu")


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_cases_take_turns_and_the_first_round_does_not_count() -> None:
    seen: list[str] = []
    cases = {name: (lambda name=name: seen.append(name)) for name in ("a", "b")}
    spent = measure.in_rounds(cases, 2, CPU)
    assert seen == ["a", "b"] * 3
    assert {name: len(each) for name, each in spent.items()} == {"a": 2, "b": 2}


def test_sleeping_is_no_processor_time() -> None:
    spent = measure.timed(lambda: time.sleep(0.05), CPU)
    assert spent.wall >= 0.05
    assert spent.cpu < 0.04


def test_a_phase_does_not_count_what_lies_in_phases_within_it() -> None:
    clock = measure.PhaseClock(CPU)
    with observed(clock):
        started = time.process_time()
        with phase("outer"):
            with phase("inner"):
                busy(0.04)
            busy(0.01)
        whole = time.process_time() - started
    assert set(clock.seconds) == {"outer", "inner"}
    assert clock.seconds["inner"] >= 0.04
    assert 0.01 <= clock.seconds["outer"] <= whole - 0.04
    assert sum(clock.seconds.values()) <= whole


def test_processor_time_of_processes_below_this_one_counts() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ntime.sleep(60)"
    before = measure.children_cpu()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = measure.children_cpu() - before
        child.kill()
    assert 0.2 < found < 5


def test_without_a_gpu_there_is_no_use_of_it() -> None:
    with measure.GpuUse(CPU) as use:
        pass
    assert use.mean is None


def test_a_table_is_aligned() -> None:
    assert measure.markdown_table(["stage", "n"], [["init", 0.12345], ["cross", 1234.5], ["x", 7]]) == (
        "| stage | n     |\n| ----- | ----- |\n| init  | 0.123 |\n| cross | 1234  |\n| x     | 7     |"
    )


def test_a_report_tells_the_same_printed_and_kept(tmp_path: Path) -> None:
    report = measure.BenchReport("nothing", "Nothing", measure.environment(), {"ratio": 1.5}, ["None."])
    report.write(tmp_path)
    kept = json.loads((tmp_path / "nothing.json").read_text())
    assert kept == json.loads(report.json())
    assert kept["bench"] == "nothing"
    assert kept["ratio"] == pytest.approx(1.5)
    assert kept["machine"]["cores"] >= 1
    assert (tmp_path / "nothing.md").read_text() == report.text()
    assert report.text().startswith(f"# Nothing\n\n{report.machine.text()}\n\nNone.")
