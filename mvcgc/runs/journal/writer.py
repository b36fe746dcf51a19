"""Writing a journal: buffered in memory, flushed by a timer, deaf to what the disk says."""

import json
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any

FLUSH_SECONDS = 2.0
# What a full disk may make a writer hold in memory before it drops new records.
PENDING_BYTES = 32 << 20


class Status(Enum):
    """Where an attempt, and with it its stage, stands. RUNNING may also be an attempt that was killed."""

    ABSENT = "absent"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


def attempts(folder: Path) -> list[int]:
    """The numbers of the attempts with a journal in ``folder``, ascending; none if there is no folder."""
    return sorted(int(path.stem) for path in folder.glob("*.jsonl") if path.stem.isdecimal())


def path_of(folder: Path, attempt: int) -> Path:
    """The journal of one attempt."""
    return folder / f"{attempt}.jsonl"


class JournalWriter:
    """Appends records to ``folder/<attempt>.jsonl``.

    For one process, rank 0, and not from within its signal handlers, which should set a flag instead. An
    attempt that is opened again continues its file and its numbering.
    """

    def __init__(self, folder: Path, attempt: int, flush_seconds: float = FLUSH_SECONDS) -> None:
        self.path = path_of(folder, attempt)
        self._attempt = attempt
        self._pending = bytearray()
        self._guard = threading.Lock()  # of what is pending: held for moments
        self._writing = threading.Lock()  # of the file: held for as long as a slow disk takes
        self._descriptor: int | None = None
        self._warned = False
        self._seq = self._continue_file()
        self._stop = threading.Event()
        self._timer = threading.Thread(
            target=self._flush_regularly, args=(flush_seconds,), name="journal", daemon=True
        )
        self._timer.start()

    def begin(self, total_steps: int, unit: str) -> None:
        """The attempt starts; the stage takes ``total_steps`` of ``unit`` in all."""
        where = {"host": socket.gethostname(), "pid": os.getpid()}
        self._append("begin", attempt=self._attempt, total_steps=total_steps, unit=unit, **where)

    def params(self, params: Mapping[str, str | int | float | bool | None]) -> None:
        """What names the run; the same in every attempt."""
        self._append("params", params=dict(params))

    def tags(self, tags: Mapping[str, str]) -> None:
        """What describes this attempt: host, devices, commit."""
        self._append("tags", tags=dict(tags))

    def metrics(self, step: int, metrics: Mapping[str, float | int]) -> None:
        """Figures after ``step`` completed steps."""
        numbers = {name: float(value) for name, value in metrics.items()}
        storable = {name: value if math.isfinite(value) else str(value) for name, value in numbers.items()}
        self._append("metrics", step=int(step), metrics=storable)

    def resume(self, from_step: int) -> None:
        """The attempt goes on from a checkpoint of ``from_step`` completed steps."""
        self._append("resume", from_step=int(from_step))

    def end(self, status: Status, reason: str = "") -> None:
        """The attempt is over; `flush` is included."""
        self._append("end", status=status.value, reason=reason)
        self.flush()

    def flush(self) -> None:
        """Bring all records to the disk, durably; call it before a checkpoint is published."""
        self._write(durably=True)

    def close(self) -> None:
        """Flush, stop the timer and close the file; a second call does nothing."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._timer.join()
        self._write(durably=True)
        if self._pending:
            self._warn(f"{len(self._pending)} bytes of records are lost")
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "JournalWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, kind: str, **content: Any) -> None:
        with self._guard:
            if len(self._pending) > PENDING_BYTES:
                return
            record = {"seq": self._seq, "ts_ms": time.time_ns() // 1_000_000, "kind": kind, **content}
            self._pending += (json.dumps(record, allow_nan=False) + "\n").encode()
            self._seq += 1

    def _flush_regularly(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            self._write(durably=False)

    def _write(self, durably: bool) -> None:
        with self._writing:
            try:
                self._write_pending()
                if durably and self._descriptor is not None:
                    os.fsync(self._descriptor)
            except OSError as error:
                self._warn(str(error))

    def _write_pending(self) -> None:
        # What a short write leaves stays pending, from that very byte on: once the disk has room again, the
        # file is as if nothing had happened.
        while True:
            with self._guard:
                chunk = bytes(self._pending)
            if not chunk:
                return
            if self._descriptor is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            written = os.write(self._descriptor, chunk)
            with self._guard:
                del self._pending[:written]

    def _warn(self, problem: str) -> None:
        if not self._warned:
            self._warned = True
            print(f"warning: journal {self.path}: {problem}; training goes on", file=sys.stderr, flush=True)

    def _continue_file(self) -> int:
        """The next record's number; a torn line that the file ends in is closed."""
        try:
            content = self.path.read_bytes() if self.path.is_file() else b""
        except OSError:
            return 0
        if content and not content.endswith(b"\n"):
            self._pending += b"\n"
        return content.count(b"\n") + len(self._pending)
