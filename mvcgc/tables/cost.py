"""What a sweep's figures have cost, by the journals of its stages."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvcgc.runs.folder import StageFolder
from mvcgc.runs.journal import attempts, path_of

_TAIL = 1 << 16
"""Bytes from a journal's end that hold its last whole record."""


@dataclass(frozen=True)
class Cost:
    """``stages`` have finished; all their attempts together took ``rank_hours``.

    A rank is a process of a stage: a GPU with its cores, or cores alone.
    """

    stages: int
    rank_hours: float


def cost_of(finished: Iterable[StageFolder]) -> Cost:
    """What these stages have taken; an attempt lasts from its journal's first record to its last."""
    stages, milliseconds = 0, 0
    for folder in finished:
        stages += 1
        lasted = sum(_span_ms(path_of(folder.journal, number)) for number in attempts(folder.journal))
        milliseconds += lasted * _ranks(folder.provenance)
    return Cost(stages, milliseconds / 3.6e6)


def _span_ms(journal: Path) -> int:
    """From the first record to the last, without reading what lies between."""
    with journal.open("rb") as file:
        first = _time_of(file.readline())
        file.seek(max(os.fstat(file.fileno()).st_size - _TAIL, 0))
        times = [time for line in file.readlines()[-2:] if (time := _time_of(line)) is not None]
    return times[-1] - first if times and first is not None else 0


def _time_of(line: bytes) -> int | None:
    try:
        record: Any = json.loads(line)
        return int(record["ts_ms"])
    except (ValueError, TypeError, KeyError):
        return None  # torn


def _ranks(provenance: Path) -> int:
    """Of the attempt that finished the stage; 1 if it is not known."""
    try:
        return len(json.loads(provenance.read_text())["attempts"][-1]["ranks"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return 1
