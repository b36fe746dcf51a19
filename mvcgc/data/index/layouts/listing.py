"""What a layout says about a dataset, before any file is opened."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from mvcgc.errors import UserError

PARTS = ("train", "val", "test")
SPLIT_NAMES = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validate": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
"""By the names that people give to splits, in lower case."""
UNLABELLED = -1
VIDEO_SUFFIXES = frozenset(
    {".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".ogv"}
)


@dataclass(frozen=True)
class Entry:
    """One video as the dataset's authors list it.

    Attributes:
        path: POSIX path relative to the dataset's root.
        label: index into the classes, or -1.
        group: videos of one group are siblings (cut from one source) and never each other's negatives.
        part: train, val or test.
    """

    path: str
    label: int
    group: str
    part: str


@dataclass(frozen=True)
class Listing:
    """All videos of a dataset.

    Attributes:
        classes: names, in the order of the labels.
        entries: sorted by path, each path once.
        absent: files that the dataset's lists name and that are not there, where that is usual.
        carved: whether val was taken out of the official training split by us (see `carve`).
        skipped: number of files that were left out, by suffix.
        notes: further things that the user should know, each one line.
    """

    classes: list[str]
    entries: list[Entry]
    absent: list[str]
    carved: bool
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Found:
    """Files below a folder: the videos, sorted, and the number of others by suffix in lower case."""

    videos: list[Path]
    skipped: dict[str, int]


def share(text: str) -> float:
    """A number in [0, 1) that depends on ``text`` alone: the same on every machine, for ever."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def carve(entries: Iterable[Entry], fraction: float) -> list[Entry]:
    """Move about ``fraction`` of the training groups, chosen by hash, from train to val."""
    return [
        Entry(entry.path, entry.label, entry.group, "val")
        if entry.part == "train" and share(f"val/{entry.group}") < fraction
        else entry
        for entry in entries
    ]


def videos_below(folder: Path) -> list[Path]:
    """Every video file below ``folder`` by its suffix, sorted; links are followed, hidden names left out."""
    return find_videos(folder).videos


def find_videos(folder: Path) -> Found:
    """Find the video files below ``folder`` by their suffix, and count the others; see `videos_below`."""
    videos = []
    skipped: Counter[str] = Counter()
    visited = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        identity = os.path.realpath(parent)
        if identity in visited:  # a link back up
            folders.clear()
            continue
        visited.add(identity)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if suffix in VIDEO_SUFFIXES:
                videos.append(Path(parent, name))
            else:
                skipped[suffix] += 1
    return Found(sorted(videos), dict(sorted(skipped.items())))


def read_lines(path: Path, remedy: str) -> list[str]:
    """The non-empty lines of a split file, stripped. Raises UserError with ``remedy`` if it is missing or no
    text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such split file; {remedy}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error}); {remedy}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def check_present(source: str, root: Path, wanted: Mapping[str, str], present: Iterable[str]) -> None:
    """Raise UserError if ``wanted`` (name in the list -> path below root) names videos that are not
    ``present``.
    """
    missing = absentees(wanted, present)
    if missing:
        first = ", ".join(missing[:3])
        raise UserError(
            f"{source} names {len(missing)} of {len(wanted)} videos that are not under {root}: {first}"
            f"{', ...' if len(missing) > 3 else ''}; add them, or point dataset.root at the complete dataset"
        )


def absentees(wanted: Mapping[str, str], present: Iterable[str]) -> list[str]:
    """The names in ``wanted`` whose paths are not ``present``, sorted."""
    there = set(present)
    return sorted(name for name, path in wanted.items() if path not in there)


def finish(
    classes: Sequence[str],
    entries: Iterable[Entry],
    absent: Sequence[str],
    *,
    carved: bool,
    skipped: Mapping[str, int] = MappingProxyType({}),
    notes: Sequence[str] = (),
) -> Listing:
    """A listing with its entries in order. Raises UserError if a file is listed twice differently."""
    by_path: dict[str, Entry] = {}
    for entry in entries:
        known = by_path.setdefault(entry.path, entry)
        if known != entry:
            raise UserError(
                f"{entry.path} is listed as {known.part}/{known.label} and as {entry.part}/{entry.label}; "
                "leave it in one split file"
            )
    ordered = [by_path[path] for path in sorted(by_path)]
    return Listing(list(classes), ordered, list(absent), carved, dict(skipped), list(notes))
