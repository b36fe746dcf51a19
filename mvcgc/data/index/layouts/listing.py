"""What a layout says about a dataset, before any file is opened."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvcgc.errors import UserError

PARTS = ("train", "val", "test")
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
    """

    classes: list[str]
    entries: list[Entry]
    absent: list[str]
    carved: bool


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
    found = []
    visited = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        identity = os.path.realpath(parent)
        if identity in visited:  # a link back up
            folders.clear()
            continue
        visited.add(identity)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES
        ]
    return sorted(found)


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


def finish(classes: Sequence[str], entries: Iterable[Entry], absent: Sequence[str], carved: bool) -> Listing:
    """A listing with its entries in order. Raises UserError if a file is listed twice differently."""
    by_path: dict[str, Entry] = {}
    for entry in entries:
        known = by_path.setdefault(entry.path, entry)
        if known != entry:
            raise UserError(
                f"{entry.path} is listed as {known.part}/{known.label} and as {entry.part}/{entry.label}; "
                "leave it in one split file"
            )
    return Listing(list(classes), [by_path[path] for path in sorted(by_path)], list(absent), carved)
