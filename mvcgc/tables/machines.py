"""On which machines speeds were measured: a time without its machine says nothing."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from mvcgc.plan import StageRecord
from mvcgc.tables.model import Note

TIMED = "efficiency"
"""The kind of stages whose figures are times."""
UNKNOWN = "an unknown machine"


def machine_of(provenance: Path) -> str:
    """The machine of the attempt that finished a stage, in words."""
    try:
        return str(json.loads(provenance.read_text())["attempts"][-1]["machine"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return UNKNOWN


def machine_notes(machines: Mapping[str, str], stages: Mapping[str, StageRecord]) -> Iterable[Note]:
    """What the times in a table are; ``machines`` by the id of the stage that was measured there."""
    if machines:
        names = ", ".join(sorted({stages[stage].name for stage in machines}))
        where = " and on ".join(sorted(set(machines.values())))
        yield Note(
            "",
            f"Times of {names}: pre-processing in seconds of one processor, inference on the clock; measured "
            f"on {where}. Weights do not change speed: the seeds of a row share one measurement.",
        )
