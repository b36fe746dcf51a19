import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvcgc.runs.journal import JournalWriter, Point, Status, Tail, attempts, path_of, read, records
from mvcgc.runs.journal import writer as writer_module


def lines(folder: Path, attempt: int = 1) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path_of(folder, attempt).read_text().splitlines()]


def values(folder: Path, name: str = "loss") -> dict[int, float]:
    return {point.step: point.value for point in read(folder).points.get(name, [])}


def write_attempt(folder: Path, number: int, resume: int | None, steps: dict[int, float]) -> None:
    with JournalWriter(folder, number) as journal:
        journal.begin(total_steps=100, unit="step")
        if resume is not None:
            journal.resume(resume)
        for step, value in steps.items():
            journal.metrics(step, {"loss": value})


class TestWriting:
    def test_writes_one_numbered_line_per_record(self, tmp_path: Path) -> None:
        before = time.time_ns() // 1_000_000
        with JournalWriter(tmp_path / "journal", 3) as journal:
            journal.begin(10, "step")
            journal.params({"k": 5, "views": "rgb+mv", "init": True, "none": None})
            journal.tags({"host": "h"})
            journal.metrics(1, {"loss": 0.5, "bad": math.nan, "big": -math.inf})
            journal.resume(4)
            journal.end(Status.FAILED, "out of memory")
        found = lines(tmp_path / "journal", 3)
        assert [record["seq"] for record in found] == list(range(6))
        assert all(before <= record["ts_ms"] <= time.time_ns() // 1_000_000 for record in found)
        contents = [{k: v for k, v in r.items() if k not in ("seq", "ts_ms", "host", "pid")} for r in found]
        assert contents == [
            {"kind": "begin", "attempt": 3, "total_steps": 10, "unit": "step"},
            {"kind": "params", "params": {"k": 5, "views": "rgb+mv", "init": True, "none": None}},
            {"kind": "tags", "tags": {"host": "h"}},
            {"kind": "metrics", "step": 1, "metrics": {"loss": 0.5, "bad": "nan", "big": "-inf"}},
            {"kind": "resume", "from_step": 4},
            {"kind": "end", "status": "failed", "reason": "out of memory"},
        ]

    def test_flushes_by_itself_before_long(self, tmp_path: Path) -> None:
        with JournalWriter(tmp_path, 1, flush_seconds=0.05) as journal:
            journal.metrics(1, {"loss": 1.0})
            deadline = time.monotonic() + 10
            while not path_of(tmp_path, 1).exists() or not lines(tmp_path):
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def test_holds_back_until_it_is_flushed(self, tmp_path: Path) -> None:
        with JournalWriter(tmp_path, 1, flush_seconds=1000.0) as journal:
            journal.metrics(1, {"loss": 1.0})
            assert not path_of(tmp_path, 1).exists()
            journal.flush()
            assert len(lines(tmp_path)) == 1
            journal.close()
            journal.close()

    def test_keeps_what_was_flushed_when_killed(self, tmp_path: Path) -> None:
        script = (
            "import sys, os, signal, pathlib\nfrom mvcgc.runs.journal import JournalWriter\n"
            "journal = JournalWriter(pathlib.Path(sys.argv[1]), 1, flush_seconds=1000.0)\n"
            "for step in range(1, 1001): journal.metrics(step, {'loss': step / 7})\n"
            "journal.flush()\njournal.metrics(1001, {'loss': 0.0})\nos.kill(os.getpid(), signal.SIGKILL)"
        )
        killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert values(tmp_path) == {step: step / 7 for step in range(1, 1001)}

    def test_continues_an_attempt_after_its_torn_line(self, tmp_path: Path) -> None:
        write_attempt(tmp_path, 1, None, {1: 1.0})
        with path_of(tmp_path, 1).open("a") as file:
            file.write('{"seq": 2, "kind": "met')
        with JournalWriter(tmp_path, 1) as journal:
            journal.metrics(2, {"loss": 2.0})
        assert values(tmp_path) == {1: 1.0, 2: 2.0}
        seqs = [record["seq"] for _, record in records(path_of(tmp_path, 1)) if record]
        assert seqs == [0, 1, 3]


class TestDiskTrouble:
    def test_a_full_disk_is_said_once_and_stops_nothing(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path_of(tmp_path, 1).symlink_to("/dev/full")
        with JournalWriter(tmp_path, 1) as journal:
            for step in range(1, 4):
                journal.metrics(step, {"loss": 1.0})
                journal.flush()
        error = capfd.readouterr().err
        assert error.count("warning") == 1
        assert "No space left" in error

    def test_a_folder_that_cannot_be_made_stops_nothing(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("")
        with JournalWriter(tmp_path / "file" / "journal", 1) as journal:
            journal.begin(1, "step")
            journal.end(Status.DONE)
        assert capfd.readouterr().err.count("warning") == 1

    def test_what_the_disk_refused_is_written_once_it_has_room(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, room = os.write, [100]

        def write(descriptor: int, data: bytes) -> int:
            if room[0] == 0:
                raise OSError(28, "No space left on device")
            written = real(descriptor, data[: room[0]])
            room[0] -= written
            return written

        with JournalWriter(tmp_path, 1, flush_seconds=1000.0) as journal:
            monkeypatch.setattr(writer_module.os, "write", write)
            for step in range(1, 30):
                journal.metrics(step, {"loss": float(step)})
                journal.flush()
            assert path_of(tmp_path, 1).stat().st_size == 100
            room[0] = 10**9
            journal.flush()
        assert values(tmp_path) == {step: float(step) for step in range(1, 30)}
        assert [record["seq"] for record in lines(tmp_path)] == list(range(29))

    def test_memory_stays_bounded_while_the_disk_is_full(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writer_module, "PENDING_BYTES", 1000)
        with JournalWriter(tmp_path, 1, flush_seconds=1000.0) as journal:
            for step in range(1, 1000):
                journal.metrics(step, {"loss": float(step)})
        assert path_of(tmp_path, 1).stat().st_size < 1200
        assert [record["seq"] for record in lines(tmp_path)] == list(range(len(lines(tmp_path))))


class TestReading:
    def test_of_nothing(self, tmp_path: Path) -> None:
        folded = read(tmp_path / "absent")
        assert folded.progress.status is Status.ABSENT
        assert folded.points == {}
        assert attempts(tmp_path / "absent") == []
        assert list(records(tmp_path / "absent" / "1.jsonl")) == []

    def test_ignores_a_torn_last_line(self, tmp_path: Path) -> None:
        write_attempt(tmp_path, 1, None, {1: 1.0, 2: 2.0, 3: 3.0})
        content = path_of(tmp_path, 1).read_bytes()
        complete = content.rstrip(b"\n").rfind(b"\n") + 1
        for cut in range(complete, len(content)):
            path_of(tmp_path, 1).write_bytes(content[:cut])
            folded = read(tmp_path)
            assert [point.step for point in folded.points["loss"]] == [1, 2]
            assert folded.damaged_lines == 0

    def test_counts_a_damaged_line_within(self, tmp_path: Path) -> None:
        write_attempt(tmp_path, 1, None, {1: 1.0, 2: 2.0})
        first, second, third = path_of(tmp_path, 1).read_text().splitlines()
        path_of(tmp_path, 1).write_text("\n".join([first, second[:20], "[1]", '{"kind": "x"}', third, ""]))
        folded = read(tmp_path)
        assert folded.damaged_lines == 3
        assert values(tmp_path) == {2: 2.0}

    def test_records_go_on_from_an_offset(self, tmp_path: Path) -> None:
        write_attempt(tmp_path, 1, None, dict.fromkeys(range(1, 6), 1.0))
        every = list(records(path_of(tmp_path, 1)))
        for index, (offset, _) in enumerate(every):
            assert list(records(path_of(tmp_path, 1), offset)) == every[index + 1 :]

    def test_keeps_the_times_of_the_points(self, tmp_path: Path) -> None:
        write_attempt(tmp_path, 1, None, {1: 1.0})
        record = lines(tmp_path)[1]
        assert read(tmp_path).points == {"loss": [Point(1, record["ts_ms"], 1.0)]}

    def test_non_finite_figures_come_back_as_floats(self, tmp_path: Path) -> None:
        write_attempt(tmp_path, 1, None, {1: math.inf, 2: math.nan})
        found = values(tmp_path)
        assert found[1] == math.inf
        assert math.isnan(found[2])


class TestFolding:
    def test_a_resumed_attempt_overrides_from_its_checkpoint_on(self, tmp_path: Path) -> None:
        write_attempt(tmp_path, 1, None, {10: 1.0, 20: 1.0, 30: 1.0, 40: 1.0})
        write_attempt(tmp_path, 2, 20, {30: 2.0})
        assert values(tmp_path) == {10: 1.0, 20: 1.0, 30: 2.0}

    def test_an_attempt_that_starts_afresh_takes_everything_back(self, tmp_path: Path) -> None:
        write_attempt(tmp_path, 1, None, {0: 1.0, 10: 1.0, 20: 1.0})
        write_attempt(tmp_path, 2, None, {10: 2.0})
        assert values(tmp_path) == {10: 2.0}

    def test_an_attempt_that_died_while_starting_takes_nothing_back(self, tmp_path: Path) -> None:
        write_attempt(tmp_path, 1, None, {10: 1.0, 20: 1.0})
        write_attempt(tmp_path, 2, None, {})
        assert values(tmp_path) == {10: 1.0, 20: 1.0}
        write_attempt(tmp_path, 3, 10, {20: 3.0})
        assert values(tmp_path) == {10: 1.0, 20: 3.0}

    def test_attempts_are_in_the_order_of_numbers_not_of_names(self, tmp_path: Path) -> None:
        for number in (2, 10, 9):
            write_attempt(tmp_path, number, 0, {10: float(number)})
        assert attempts(tmp_path) == [2, 9, 10]
        assert values(tmp_path) == {10: 10.0}

    @settings(max_examples=40)
    @given(
        st.lists(
            st.tuples(st.none() | st.integers(0, 12), st.lists(st.integers(1, 12), unique=True)),
            max_size=5,
        )
    )
    def test_equals_a_replay_of_the_attempts(
        self, tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int | None, list[int]]]
    ) -> None:
        folder = tmp_path_factory.mktemp("journal")
        expected: dict[int, float] = {}
        for number, (resume, steps) in enumerate(runs, start=1):
            write_attempt(folder, number, resume, {step: float(number) for step in sorted(steps)})
            if resume is not None or steps:
                for step in list(expected):
                    if resume is None or step > resume:
                        del expected[step]
            expected.update({step: float(number) for step in steps})
        assert values(folder) == expected


class TestProgress:
    def test_follows_a_stage_through_its_attempts(self, tmp_path: Path) -> None:
        tail = Tail(tmp_path)
        assert tail.poll().status is Status.ABSENT
        with JournalWriter(tmp_path, 1) as journal:
            journal.begin(100, "step")
            journal.metrics(10, {"loss": 3.0, "lr": 0.1})
            journal.metrics(20, {"loss": 2.0})
            journal.flush()
            progress = tail.poll()
            assert (progress.status, progress.step, progress.total_steps) == (Status.RUNNING, 20, 100)
            assert progress.metrics == {"loss": 2.0, "lr": 0.1}
            journal.end(Status.INTERRUPTED, "SIGTERM")
        assert tail.poll().status is Status.INTERRUPTED
        assert tail.poll().reason == "SIGTERM"
        with JournalWriter(tmp_path, 2) as journal:
            journal.begin(100, "step")
            journal.flush()
            assert tail.poll().status is Status.RUNNING
            journal.resume(15)
            journal.flush()
            assert (tail.poll().step, tail.progress.from_step, tail.progress.attempt) == (15, 15, 2)
            journal.metrics(100, {"loss": 1.0})
            journal.end(Status.DONE)
        assert tail.poll().status is Status.DONE
        assert tail.fold() == read(tmp_path)

    def test_reads_only_what_is_new(self, tmp_path: Path) -> None:
        write_attempt(tmp_path, 1, None, {1: 1.0})
        tail = Tail(tmp_path)
        tail.poll()
        size = path_of(tmp_path, 1).stat().st_size
        path_of(tmp_path, 1).write_bytes(b"#" * size)  # would be damage if it were read again
        with JournalWriter(tmp_path, 1) as journal:
            journal.metrics(2, {"loss": 2.0})
        assert tail.poll().step == 2
        assert len(tail.fold().points["loss"]) == 2
