"""Reading a journal: record by record, followed while it grows, or folded over its attempts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvcgc.runs.journal.writer import Status, attempts, path_of


def records(path: Path, offset: int = 0) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """The complete lines of one attempt's file from byte ``offset`` on, each with the offset of its end.

    That offset is where a later call goes on. A line that is no record, as a crash can leave, comes as None;
    a last line without its end is still being written, or torn, and does not come. No file, no records.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield offset, _record_of(line)


def _record_of(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


@dataclass(frozen=True)
class Point:
    """One figure: after ``step`` completed steps, at ``ts_ms`` of the writer's clock."""

    step: int
    ts_ms: int
    value: float


@dataclass
class Progress:
    """How a stage stands, by its newest attempt; ``metrics`` are the newest of each name.

    ``step`` counts completed steps of ``total_steps``; ``from_step`` is where this attempt took up;
    ``begin_ms`` and ``ts_ms`` are the times of the attempt's first and newest record.
    """

    status: Status = Status.ABSENT
    reason: str = ""
    attempt: int = 0
    step: int = 0
    total_steps: int = 0
    unit: str = ""
    from_step: int = 0
    begin_ms: int = 0
    ts_ms: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class Folded:
    """A journal as if the stage had run in one go: ``points`` by metric, ascending in step."""

    progress: Progress
    points: dict[str, list[Point]]
    params: dict[str, Any]
    tags: dict[str, str]
    begin_ms: int
    damaged_lines: int


@dataclass
class _Attempt:
    """What one attempt's file has told so far."""

    offset: int = 0
    from_step: int | None = None
    points: dict[tuple[str, int], Point] = field(default_factory=dict)


class Tail:
    """Follows a journal folder: each `poll` reads only what is new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._attempts: dict[int, _Attempt] = {}
        self._params: dict[str, Any] = {}
        self._tags: dict[str, str] = {}
        self._begin_ms = 0
        self._damaged = 0
        self.progress = Progress()

    def poll(self) -> Progress:
        """Read on, and tell how things stand."""
        for number in attempts(self._folder):
            state = self._attempts.setdefault(number, _Attempt())
            for end, record in records(path_of(self._folder, number), state.offset):
                state.offset = end
                try:
                    self._take(number, state, record or {})
                except (KeyError, TypeError, ValueError, AttributeError):
                    self._damaged += 1
        return self.progress

    def fold(self) -> Folded:
        """Everything that has been read, each (step, metric) once."""
        kept: dict[tuple[str, int], Point] = {}
        for _, attempt in sorted(self._attempts.items()):
            # An attempt that died before it resumed or reported takes nothing back.
            if attempt.from_step is not None or attempt.points:
                start = -1 if attempt.from_step is None else attempt.from_step
                kept = {key: point for key, point in kept.items() if point.step <= start}
            kept.update(attempt.points)
        points: dict[str, list[Point]] = {}
        for name, step in sorted(kept):
            points.setdefault(name, []).append(kept[name, step])
        return Folded(self.progress, points, self._params, self._tags, self._begin_ms, self._damaged)

    def _take(self, number: int, state: _Attempt, record: dict[str, Any]) -> None:
        kind, ts_ms = record["kind"], int(record["ts_ms"])
        newest = number >= self.progress.attempt
        if number > self.progress.attempt:
            metrics = self.progress.metrics
            self.progress = Progress(Status.RUNNING, attempt=number, begin_ms=ts_ms, metrics=metrics)
        if kind == "begin":
            self._begin_ms = self._begin_ms or ts_ms
            if newest:
                self.progress.total_steps = int(record["total_steps"])
                self.progress.unit = str(record["unit"])
        elif kind == "params":
            self._params.update(record["params"])
        elif kind == "tags":
            self._tags.update(record["tags"])
        elif kind == "metrics":
            self._take_metrics(state, record, ts_ms, newest)
        elif kind == "resume":
            state.from_step = int(record["from_step"])
            if newest:
                self.progress.from_step = self.progress.step = state.from_step
        elif kind == "end" and newest:
            self.progress.status = Status(record["status"])
            self.progress.reason = str(record["reason"])
        if newest:
            self.progress.ts_ms = ts_ms

    def _take_metrics(self, state: _Attempt, record: dict[str, Any], ts_ms: int, newest: bool) -> None:
        step = int(record["step"])
        values = {name: float(value) for name, value in record["metrics"].items()}
        for name, value in values.items():
            state.points[name, step] = Point(step, ts_ms, value)
        if newest:
            self.progress.step = step
            self.progress.metrics = {**self.progress.metrics, **values}


def read(folder: Path) -> Folded:
    """The whole journal in ``folder``, folded; that of a stage that never ran is empty, its status ABSENT."""
    tail = Tail(folder)
    tail.poll()
    return tail.fold()
