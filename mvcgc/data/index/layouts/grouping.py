"""Groups of videos that were cut from one source, told by their names.

A name's trailing counter numbers the clips of a source: ``scene12_part3`` is of ``scene12``,
``v_Archery_g07_c02`` of ``v_Archery_g07``, ``abc_0001`` of ``abc``. Cameras and phones number recordings
instead: ``IMG_1234`` and ``VID_20240503_101500`` are sources of their own, as bare numbers and ``clip7`` are.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from mvcgc.errors import UserError

_SEPARATORS = " _.-"
_CLIP_WORDS = frozenset(
    ("chunk", "clip", "cut", "part", "piece", "scene", "section", "seg", "segment", "shot", "split", "take")
)
"""They number the clips of a source, with a separator before the number or without."""
_RECORDING_WORDS = frozenset(
    ("capture", "image", "mov", "movie", "rec", "record", "recording", "sample", "vid", "video")
)
_CAMERA_CODES = frozenset(
    ("cimg", "dji", "dsc", "dscf", "dscn", "gopr", "img", "mah", "mvi", "pict", "pxl", "sam", "wp")
)
_NO_SOURCE = _CLIP_WORDS | _RECORDING_WORDS | _CAMERA_CODES | {""}
"""Alone before a counter they name no source: the counter numbers recordings."""
_LETTERS = 3
"""An unknown word attached to a counter's digits has at most so many letters (``c02``, ``cam1``): a longer
one names something (``walk_person12``).
"""
_CODE = 4
"""A name of so many letters and a number is a camera's (``DSCN0012``)."""

_COUNTER = re.compile(r"(?P<rest>.*?)(?:(?P<word>[^\W\d_]*)\d+|\(\d+\))$")
_DATE = r"(19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d"
_TIME = r"[-_. T]?(at )?[0-2]\d[-_.:h]?[0-5]\d([-_.:m]?[0-5]\d(\.?\d{3})?)?"
_TIMESTAMP = re.compile(rf"(.*\D)?{_DATE}({_TIME}|[-_ ]WA\d+)?$")
_TIME_RANGE = re.compile(r"(?P<rest>.+)_(?P<start>\d{6})_(?P<end>\d{6})$")
_GOPRO = re.compile(r"(?:GOPR|G[HXLP]\d\d)(?P<recording>\d{4})$", re.IGNORECASE)


def source_of(stem: str) -> str | None:
    """Return the name of the source that a file name (without suffix) names; None if it names none.

    Example:
        >>> source_of("scene12_part3"), source_of("abc_0001"), source_of("interview")
        ('scene12', 'abc', 'interview')
        >>> source_of("IMG_1234"), source_of("0007")
        (None, None)
    """
    if gopro := _GOPRO.match(stem):
        return f"GoPro {gopro['recording']}"  # a long recording comes in chapters: GH01nnnn, GH02nnnn
    if _TIMESTAMP.match(stem):
        return stem
    span = _TIME_RANGE.match(stem)
    rest = span["rest"] if span and span["start"] < span["end"] else _without_counter(stem)
    return None if rest.strip(_SEPARATORS).lower() in _NO_SOURCE else rest


def _without_counter(stem: str) -> str:
    """Return the name before a trailing counter, '' if there is none; the name as it is without a counter."""
    counter = _COUNTER.match(stem)
    if counter is None:
        return stem
    rest, word = counter["rest"], (counter["word"] or "").lower()
    if not rest.strip(_SEPARATORS):
        return "" if len(word) <= _CODE or word in _NO_SOURCE else stem
    is_attached = counter["word"] is not None and rest[-1] not in _SEPARATORS
    if is_attached or (len(word) > _LETTERS and word not in _CLIP_WORDS):
        return stem  # the number is part of a word
    rest = rest.rstrip(_SEPARATORS)
    return rest if word else _without_clip_word(rest)


def _without_clip_word(rest: str) -> str:
    """``scene12_part`` -> ``scene12``."""
    before, _, last = re.sub(f"[{_SEPARATORS}]", "_", rest).rpartition("_")
    return rest[: len(before)].rstrip(_SEPARATORS) if last.lower() in _CLIP_WORDS else rest


@dataclass(frozen=True)
class Groups:
    """Groups of videos, by path.

    Attributes:
        group: siblings, never each other's negatives.
        unit: what a split keeps together. Coarser than ``group`` where all videos of a class have one stem,
            which may be one source or only number many.
        undecided: by class folder ('' without classes), such a stem.
    """

    group: dict[str, str]
    unit: dict[str, str]
    undecided: dict[str, str]


def groups_by_name(classes: Mapping[str, str]) -> Groups:
    """Group videos by folder and by the source that their names tell.

    A name that tells no source is a source of its own; in a folder below that of its class, the folder is.

    Args:
        classes: by the path of a video, the folder of its class, '' where there are no classes.
    """
    unit = {path: _group(path, folder) for path, folder in classes.items()}
    members: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for path, folder in classes.items():
        members[folder][unit[path]] += 1
    undecided = {}
    for folder, counts in members.items():
        (stem, videos), *others = counts.items()
        if not others and videos > 1:
            undecided[folder] = stem
    group = {path: path if classes[path] in undecided else stem for path, stem in unit.items()}
    return Groups(group, unit, undecided)


def _group(path: str, folder: str) -> str:
    parent, _, name = path.rpartition("/")
    stem = PurePosixPath(name).stem
    source = source_of(stem)
    if source is None and parent != folder:
        return parent
    return f"{parent}/{source or stem}".lstrip("/")


def groups_by_pattern(paths: Iterable[str], pattern: str) -> dict[str, str]:
    """Group videos by what the one group of a regular expression matches in their paths without suffix.

    Raises:
        UserError: if it matches nothing in some of them.
    """
    expression = re.compile(pattern)
    found, missed = {}, []
    for path in paths:
        match = expression.search(str(PurePosixPath(path).with_suffix("")))
        if match and match[1]:
            found[path] = match[1]
        else:
            missed.append(path)
    if missed:
        raise UserError(
            f"dataset.group_pattern={pattern!r} matches nothing in {len(missed)} of "
            f"{len(missed) + len(found)} videos, first {missed[0]}; it is searched for in each path below "
            "dataset.root (or below the folder of its split), without the suffix"
        )
    return found


def check_pattern(pattern: str) -> None:
    """Raise UserError unless ``pattern`` is a regular expression with one group."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise UserError(f"dataset.group_pattern={pattern!r}: no regular expression ({error})") from error
    if groups != 1:
        raise UserError(
            f"dataset.group_pattern={pattern!r} has {groups} groups: put one pair of parentheses around what "
            "names the source, as in '(.+)_part'"
        )
