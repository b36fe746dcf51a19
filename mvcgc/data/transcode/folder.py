"""Transcode a folder: each video once, across interruptions."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mvcgc.data.index.layouts.listing import find_videos
from mvcgc.data.index.progress import progress
from mvcgc.data.index.workers import in_workers
from mvcgc.data.transcode.write import Task, TranscodeConfig, Written, refusal, write
from mvcgc.errors import UserError

LOG = "transcode.jsonl"
TAKES = (".avi", ".mp4", ".m4v", ".mov", ".mkv")
"""Suffixes of containers for MPEG-4 part 2; files with other suffixes become .mp4."""

LISTS = (".txt", ".csv", ".tsv", ".json")
"""Suffixes of split and label lists, which are copied."""


def transcode(source: Path, target: Path, config: TranscodeConfig, workers: int) -> list[Written]:
    """Transcode all videos below ``source`` into ``target``, and copy the lists.

    Skips files that an earlier run transcoded with this configuration, unless their source has changed.
    Videos that cannot be transcoded are returned with the reason; the next run retries them.

    Raises:
        UserError: there is no such folder, one is within the other, or two files would have one name.
    """
    source, target = source.resolve(), target.resolve()
    if not source.is_dir():
        raise UserError(f"{source}: no such folder")
    if source == target or source in target.parents or target in source.parents:
        raise UserError(f"{target}: write to a folder outside of {source}")
    tasks = _tasks(source, target, config)
    log = target / LOG
    known = {written.path: written for written in _read(log)}
    done = {task.path: known[task.path] for task in tasks if _is_done(task, known.get(task.path))}
    todo = [task for task in tasks if task.path not in done]
    target.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file, progress("transcoding", len(todo)) as advance:
        if file.tell():  # the line before may be torn
            file.write(b"\n")
        for task, found in in_workers(write, todo, workers):
            written = found or refusal(task, "crashed its worker process")
            file.write(json.dumps(asdict(written)).encode() + b"\n")
            file.flush()
            done[task.path] = written
            advance(1)
    for path in _lists(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    return [done[task.path] for task in tasks]


def _tasks(source: Path, target: Path, config: TranscodeConfig) -> list[Task]:
    paths = [path.relative_to(source) for path in find_videos(source).videos]
    if not paths:
        raise UserError(f"{source}: holds no video")
    becomes = [path if path.suffix.lower() in TAKES else path.with_suffix(".mp4") for path in paths]
    name, count = Counter(becomes).most_common(1)[0]
    if count > 1:
        raise UserError(f"{source}: {count} files would become {name}; rename them")
    return [
        Task(str(source), str(target), path.as_posix(), new.as_posix(), config)
        for path, new in zip(paths, becomes, strict=True)
    ]


def _lists(source: Path) -> list[Path]:
    return [
        path
        for path in sorted(source.rglob("*"))
        if path.suffix.lower() in LISTS
        and path.is_file()
        and not any(name.startswith(".") for name in path.relative_to(source).parts)
    ]


def _is_done(task: Task, written: Written | None) -> bool:
    # Refused files are retried: the reason may have been a full disk.
    if written is None or written.refused or written.becomes != task.becomes:
        return False
    copy = Path(task.target, task.becomes)
    return (
        written.config == asdict(task.config)
        and (written.size, written.mtime_ns) == task.stat()
        and copy.is_file()
        and copy.stat().st_size == written.bytes
    )


def _read(log: Path) -> Iterator[Written]:
    if not log.exists():
        return
    for line in log.read_bytes().splitlines():
        try:
            values = json.loads(line)
            pairs: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            yield Written(**pairs)
        except (ValueError, TypeError, AttributeError):  # torn, or of another version
            continue
