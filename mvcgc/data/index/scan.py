"""Probing many files in parallel, once: what each turned out to be is appended to a cache as it is found.

The cache is JSON lines, one per file, keyed by the path within the dataset, size and modification time; a
changed file is probed again. An interrupted scan goes on where it was; a torn line is probed again.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvcgc.data.index.progress import progress
from mvcgc.data.index.workers import in_workers
from mvcgc.video.errors import Reason, VideoError
from mvcgc.video.info import VideoInfo
from mvcgc.video.probe import probe

VERSION = 2
"""Raise it when the probe learns something else from the same file: all files are probed again."""

CRASHED = "crashed"


@dataclass(frozen=True)
class Fact:
    """Result of probing a file: ``info``, or else ``reason`` (a word) and ``detail`` (a line)."""

    path: str
    size: int
    mtime_ns: int
    info: VideoInfo | None
    reason: str = ""
    detail: str = ""


def scan(root: Path, paths: Sequence[str], cache: Path, workers: int, title: str) -> dict[str, Fact]:
    """Probe ``paths`` (relative to ``root``), in ``workers`` processes, except those that ``cache`` knows
    unchanged.

    Shows progress under ``title``. Nothing is raised for a bad file: its fact says what is wrong. A file that
    kills the process that decodes it is reported as crashed.
    """
    known = _read_cache(cache)
    facts: dict[str, Fact] = {}
    wanted = []
    for path in paths:
        try:
            stat = (root / path).stat()
        except OSError as error:
            facts[path] = Fact(path, 0, 0, None, Reason.UNREADABLE.value, error.strerror or str(error))
            continue
        fact = known.get(path)
        if fact is not None and (fact.size, fact.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            facts[path] = fact
        else:
            wanted.append((str(root), path, stat.st_size, stat.st_mtime_ns))
    if not wanted:
        return facts
    cache.parent.mkdir(parents=True, exist_ok=True)
    with cache.open("ab") as file, progress(title, len(wanted)) as advance:
        if file.tell():  # the line before may be torn
            file.write(b"\n")
        for fact in _probe_all(wanted, workers):
            file.write(json.dumps(_to_json(fact), separators=(",", ":")).encode() + b"\n")
            file.flush()
            facts[fact.path] = fact
            advance(1)
    return facts


_Job = tuple[str, str, int, int]


def probe_file(job: _Job) -> Fact:
    """Probe one file: (root, path, size, mtime_ns). Runs in a worker process."""
    root, path, size, mtime_ns = job
    try:
        return Fact(path, size, mtime_ns, probe(Path(root) / path))
    except VideoError as error:
        return Fact(path, size, mtime_ns, None, error.reason.value, error.detail)


def _probe_all(jobs: Sequence[_Job], workers: int) -> Iterator[Fact]:
    """Facts as they are found."""
    for (_, path, size, mtime_ns), fact in in_workers(probe_file, jobs, workers):
        yield fact or Fact(path, size, mtime_ns, None, CRASHED, "the process that decoded it died")


def _read_cache(cache: Path) -> dict[str, Fact]:
    facts = {}
    try:
        lines = cache.read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            fact = _from_json(json.loads(line))
        except (ValueError, KeyError, TypeError):  # torn, or of another version
            continue
        facts[fact.path] = fact
    return facts


def _to_json(fact: Fact) -> dict[str, Any]:
    info = fact.info.to_dict() if fact.info else None
    return {**vars(fact), "info": info, "version": VERSION}


def _from_json(data: dict[str, Any]) -> Fact:
    if data.pop("version") != VERSION:
        raise ValueError("of another version")
    info = data.pop("info")
    return Fact(**data, info=VideoInfo.from_dict(info) if info else None)
