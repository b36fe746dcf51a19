"""The folder of one stage: where everything lies that the stage reads and writes.

Only ``DONE.json``, written last and atomically, says that the stage is finished.
"""

import dataclasses
import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvcgc.files import sha256_of, write_atomic
from mvcgc.runs.lock import Lock, Owner

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


class StageDamaged(RuntimeError):
    """A stage says that it is finished, but its DONE.json or one of its outputs is not as it was written."""


@dataclass(frozen=True)
class Output:
    """One file that a finished stage leaves: size in bytes and SHA-256."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Done:
    """What DONE.json says: outputs by path relative to the stage folder, and the headline metrics."""

    fingerprint: str
    finished_ms: int
    outputs: dict[str, Output]
    metrics: dict[str, float]


@dataclass(frozen=True)
class StageFolder:
    """The folder of one stage, ``<root>/stages/<name>-<fingerprint>``; the name may hold slashes."""

    path: Path

    @classmethod
    def of(cls, root: Path, name: str, fingerprint: str) -> "StageFolder":
        """The folder of stage ``name`` under the root of all runs."""
        return cls(root / "stages" / f"{name}-{fingerprint}")

    @property
    def fingerprint(self) -> str:
        """The fingerprint that the folder's own name ends in. Raises StageDamaged if it has none."""
        tail = self.path.name.rpartition("-")[2]
        if not _FINGERPRINT.fullmatch(tail):
            raise StageDamaged(f"{self.path} does not end in a stage's fingerprint")
        return tail

    @property
    def config(self) -> Path:
        """The resolved configuration, written at submission."""
        return self.path / "config.yaml"

    @property
    def provenance(self) -> Path:
        """Commit, packages, host, devices, command."""
        return self.path / "provenance.json"

    @property
    def checkpoint(self) -> Path:
        """The folder of the newest checkpoint."""
        return self.path / "checkpoint"

    @property
    def journal(self) -> Path:
        """The folder of the attempts' journals."""
        return self.path / "journal"

    @property
    def logs(self) -> Path:
        """The folder of each attempt's and rank's output."""
        return self.path / "logs"

    @property
    def done(self) -> Path:
        """The file that means finished."""
        return self.path / "DONE.json"

    def log(self, attempt: int, rank: int) -> Path:
        """Where one rank's output of one attempt goes."""
        return self.logs / f"{attempt}.{rank}.log"

    def write_done(self, outputs: Sequence[Path], metrics: Mapping[str, float | int]) -> Done:
        """Publish DONE.json, last and atomically.

        ``outputs`` are files given relative to the folder; each is synced to disk and hashed. ``metrics`` are
        the stage's headline figures; one that is not finite is stored as a string and comes back as a float.
        """
        described = {}
        for output in sorted(outputs):
            assert not output.is_absolute(), f"outputs are relative to the stage folder, {output} is not"
            file = self.path / output
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
            described[output.as_posix()] = Output(file.stat().st_size, sha256_of(file))
        figures = {name: float(value) for name, value in metrics.items()}
        done = Done(self.fingerprint, time.time_ns() // 1_000_000, described, figures)
        write_atomic(self.done, json.dumps(_done_to_json(done), indent=2) + "\n")
        return done

    def read_done(self) -> Done | None:
        """DONE.json if the stage is finished, None if not; outputs are checked by presence and size alone.

        Cheap enough for planning. Raises StageDamaged as `verify_done` does.
        """
        return self._checked(lambda file, output: file.stat().st_size == output.bytes)

    def verify_done(self) -> Done:
        """DONE.json, once every output has been read and has the hash that was written.

        Raises StageDamaged if the stage is not finished, belongs to another fingerprint, or has changed.
        """
        done = self._checked(lambda file, output: sha256_of(file) == output.sha256)
        if done is None:
            raise StageDamaged(f"{self.path} is not finished: it has no DONE.json")
        return done

    def _checked(self, intact: Callable[[Path, Output], bool]) -> Done | None:
        try:
            content = self.done.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            done = _done_from_json(json.loads(content))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StageDamaged(f"{self.done} cannot be read: {error}") from error
        if done.fingerprint != self.fingerprint:
            raise StageDamaged(f"{self.done} is of another stage, fingerprint {done.fingerprint}")
        for name, output in done.outputs.items():
            file = self.path / name
            if not file.is_file():
                raise StageDamaged(f"{file} is missing, though DONE.json names it")
            if not intact(file, output):
                raise StageDamaged(f"{file} is not the file that DONE.json names")
        return done

    @property
    def lock(self) -> Lock:
        """The stage's lock."""
        return Lock(self.path / "lock")

    @property
    def owner(self) -> Owner | None:
        """Who holds the stage's lock, dead or alive; None if nobody does."""
        return self.lock.owner

    def try_lock(self, purpose: str = "") -> bool:
        """Take the stage for this process; False if another who may be alive has it: see `Lock`."""
        return self.lock.try_acquire(purpose)

    def release(self) -> None:
        """Give the stage back; nothing happens if this process does not hold it."""
        self.lock.release()


def _done_to_json(done: Done) -> dict[str, Any]:
    metrics = {
        name: value if math.isfinite(value) else str(value) for name, value in sorted(done.metrics.items())
    }
    return {**dataclasses.asdict(done), "metrics": metrics}


def _done_from_json(data: dict[str, Any]) -> Done:
    return Done(
        fingerprint=str(data["fingerprint"]),
        finished_ms=int(data["finished_ms"]),
        outputs={
            name: Output(bytes=int(output["bytes"]), sha256=str(output["sha256"]))
            for name, output in data["outputs"].items()
        },
        metrics={name: float(value) for name, value in data["metrics"].items()},
    )
