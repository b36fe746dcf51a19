"""What a stage is (its fingerprint) and where it lives (its folder).

A fingerprint is a hash of everything that can change a stage's result: its resolved specification with
every value, defaults included, the digest of the data it reads, the fingerprints of its parents, and the
version of its code. The folder ``<root>/stages/<name>-<fingerprint>`` holds all that the stage reads and
writes; only its ``DONE.json`` says that the stage is finished.
"""

import dataclasses
import hashlib
import json
import math
import os
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from mvcgc.lock import Lock, Owner

# Dotted keys of a stage's specification that cannot change its result. Everything else counts.
EXCLUDED: tuple[str, ...] = (
    "dataset.root",  # where the videos lie; what they are is in the manifest's digest
    "dataset.name",  # a label for folders and tables
    "dataset.demo",  # how the demo videos were made; they too are in the digest
)

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


def plain(value: Any) -> Any:
    """``value`` as dicts with sorted string keys, lists, strings, numbers, booleans and None.

    Dataclasses become dicts of all their fields, enums their values, paths their text, tuples lists.
    Raises TypeError for anything else, ValueError for a float that is not finite.
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a specification holds the number {value}, which has no identity")
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise TypeError(f"keys of a specification are strings, this one is {key!r}")
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a specification cannot hold a {type(value).__name__}: {value!r}")


def canonical_json(value: Any) -> str:
    """The one JSON text of ``value`` (see `plain`): keys sorted, no spaces, floats by their exact repr."""
    return _CANONICAL.encode(plain(value))


def semantic(spec: Mapping[str, Any]) -> dict[str, Any]:
    """``spec`` (plain) without the keys of `EXCLUDED`."""
    kept = dict(spec)
    for dotted in EXCLUDED:
        *folders, last = dotted.split(".")
        node = kept
        for name in folders:
            if not isinstance(node.get(name), Mapping):
                break
            node[name] = dict(node[name])
            node = node[name]
        else:
            node.pop(last, None)
    return kept


def fingerprint(
    name: str, code_version: int | str, spec: Mapping[str, Any], dataset_digest: str, parents: Sequence[str]
) -> str:
    """16 hexadecimal digits that stand for a stage; ``parents`` are fingerprints, by role in order."""
    spec_json = canonical_json(semantic(plain(spec)))
    return fingerprint_of_text(name, code_version, spec_json, dataset_digest, parents)


def fingerprint_of_text(
    name: str, code_version: int | str, spec_json: str, dataset_digest: str, parents: Sequence[str]
) -> str:
    """`fingerprint` where the canonical JSON of the semantic specification is already at hand."""
    head = _CANONICAL.encode(
        {"name": name, "code": code_version, "dataset": dataset_digest, "parents": list(parents)}
    )
    return hashlib.sha256(f"{head}\n{spec_json}".encode()).hexdigest()[:16]


def write_atomic(path: Path, content: str | bytes) -> None:
    """Put ``content`` at ``path`` so that a reader, or a crash, finds the old file or the whole new one."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames within ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        """Take the stage for this process; False if another who may be alive has it: see `mvcgc.lock`."""
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
