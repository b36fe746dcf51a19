"""Differences of rows to the baseline, paired by seed and test video, and how sure they are."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8

from mvcgc.metrics import bootstrap_intervals, mean_std
from mvcgc.plan import Column, RowRecord
from mvcgc.tables.model import Cell, Difference, Line, Note
from mvcgc.tables.per_video import Outcomes

Get = Callable[[RowRecord, Column], Outcomes | str]
"""The outcomes behind a row's figure in a column; in words, why there are none."""
_AT_ONCE = 500
"""Differences that are resampled together: their means take 40 MB."""


@dataclass
class _Pair:
    """A cell and the baseline's: ``seeds`` for which both have a figure, ``difference`` by video if known."""

    line: int
    column: int
    seeds: list[int]
    mean: float
    videos: Int8[np.ndarray, "S N"] | None


def with_differences(
    lines: Sequence[Line], columns: Sequence[Column], rows: Mapping[str, Sequence[RowRecord]], get: Get
) -> tuple[list[Line], list[Note]]:
    """The lines with their differences to the baseline, if there is one; notes on those without interval.

    ``rows`` are the records of the seeds of each line.
    """
    baseline = next((line for line in lines if line.baseline), None)
    if baseline is None:
        return list(lines), []
    pairs = []
    reasons: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for at_line, line in enumerate(lines):
        for at, column in enumerate(columns):
            seeds = [] if line.baseline else _common(line.cells[at], baseline.cells[at])
            if not seeds:
                continue
            ours, theirs = (_values(each.cells[at], seeds) for each in (line, baseline))
            mean = mean_std([a - b for a, b in zip(ours, theirs, strict=True)])[0]
            paired = [[row for row in rows[each.name] if row.seed in seeds] for each in (line, baseline)]
            videos = _by_video(paired[0], paired[1], column, get)
            if isinstance(videos, str):
                reasons[videos].append((line.name, column.label))
            pairs.append(_Pair(at_line, at, seeds, mean, None if isinstance(videos, str) else videos))
    cells = [list(line.cells) for line in lines]
    for pair, (low, high) in _bounded(pairs):
        difference = Difference(pair.mean, low, high, len(pair.seeds))
        cells[pair.line][pair.column] = dataclasses.replace(
            cells[pair.line][pair.column], difference=difference
        )
    others = sum(not line.baseline for line in lines)
    notes = [_note(reason, unknown, others) for reason, unknown in reasons.items()]
    found = [dataclasses.replace(line, cells=tuple(own)) for line, own in zip(lines, cells, strict=True)]
    return found, notes


def _note(reason: str, cells: Sequence[tuple[str, str]], rows: int) -> Note:
    """Return which (row, column) have no interval and why; ``rows`` is how many could have one."""
    names, labels = (list(dict.fromkeys(words)) for words in zip(*cells, strict=True))
    of = "" if len(names) == rows else f" of {'; '.join(names)}"
    return Note("", f"Differences without an interval, {', '.join(labels)}{of}: {reason}.")


def _common(cell: Cell, baseline: Cell) -> list[int]:
    seeds = [{trial.seed for trial in each.trials if trial.value is not None} for each in (cell, baseline)]
    return sorted(seeds[0] & seeds[1])


def _values(cell: Cell, seeds: Sequence[int]) -> list[float]:
    by_seed = {trial.seed: trial.value for trial in cell.trials if trial.value is not None}
    return [by_seed[seed] for seed in seeds]


def _by_video(
    rows: Sequence[RowRecord], baseline: Sequence[RowRecord], column: Column, get: Get
) -> Int8[np.ndarray, "S N"] | str:
    """Hit less hit by seed and video; in words, why that is not known. Rows and baseline pair up by seed."""
    found = []
    for pair in zip(rows, baseline, strict=True):
        for row in pair:
            outcomes = get(row, column)
            if isinstance(outcomes, str):
                return outcomes
            found.append(outcomes)
    if any(outcomes.videos != found[0].videos for outcomes in found):
        return (
            f"{rows[0].name} was tested on other videos than {baseline[0].name}, or some of their seeds were"
        )
    hits = np.array([outcomes.hits for outcomes in found], dtype=np.int8)
    return hits[0::2] - hits[1::2]


def _bounded(pairs: Iterable[_Pair]) -> Iterable[tuple[_Pair, tuple[float | None, float | None]]]:
    """Each pair with its interval; those over equally many videos are resampled together."""
    groups: dict[int, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.videos is None:
            yield pair, (None, None)
        else:
            groups[pair.videos.shape[1]].append(pair)
    for group in groups.values():
        for start in range(0, len(group), _AT_ONCE):
            part = group[start : start + _AT_ONCE]
            yield from zip(
                part, bootstrap_intervals([p.videos for p in part if p.videos is not None]), strict=True
            )
