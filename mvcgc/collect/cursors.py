"""What has been sent: one small file per row, rewritten after MLflow has acknowledged.

Losing one costs nothing but time: its points are sent again, and MLflow keeps one copy of a point whose time
is the same.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cattrs
from cattrs.errors import BaseValidationError

from mvcgc.collect.view import Sample
from mvcgc.files import write_atomic


@dataclass
class Cursor:
    """How far one metric has been sent: how many points, and the last one's step and time."""

    count: int
    step: int
    ts_ms: int


@dataclass
class Sent:
    """What MLflow has of a run: digests of what describes it, and how far each stage's metrics came."""

    run_id: str = ""
    digest: str = ""
    artifacts: dict[str, str] = field(default_factory=dict)
    cursors: dict[str, dict[str, Cursor]] = field(default_factory=dict)


class TakenBack(Exception):
    """Points that MLflow has are no longer in the journal: a later attempt has taken them back."""


def unsent(points: Mapping[str, Sequence[Sample]], cursors: Mapping[str, Cursor]) -> list[Sample]:
    """The points of a stage beyond its cursors, in the order of their steps.

    What a later attempt takes back is always the end of a curve, so the last point sent tells whether all
    before it still stand. Raises TakenBack if it does not.
    """
    for name, cursor in cursors.items():
        curve = points.get(name, ())
        last = curve[cursor.count - 1] if cursor.count <= len(curve) else None
        if last is None or (last.step, last.ts_ms) != (cursor.step, cursor.ts_ms):
            raise TakenBack(name)
    fresh = [
        p for name, curve in points.items() for p in curve[cursors[name].count if name in cursors else 0 :]
    ]
    return sorted(fresh, key=lambda point: (point.step, point.ts_ms, point.name))


def advance(cursors: dict[str, Cursor], samples: Sequence[Sample]) -> None:
    """Move the cursors over points that have been acknowledged, given in the order of `unsent`."""
    for sample in samples:
        count = cursors[sample.name].count if sample.name in cursors else 0
        cursors[sample.name] = Cursor(count + 1, sample.step, sample.ts_ms)


class CursorFile:
    """The runs of one row: the root run under its uid, its stages under theirs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.runs: dict[str, Sent] = {}
        try:
            self.runs = cattrs.structure(json.loads(path.read_text()), dict[str, Sent])
        except FileNotFoundError:
            pass
        except (ValueError, BaseValidationError):
            # Written by another version, or damaged: as good as lost.
            self.runs = {}

    def of(self, uid: str, run_id: str) -> Sent:
        """Return what has been sent to a run; nothing if it is another run than last time."""
        sent = self.runs.get(uid)
        if sent is None or sent.run_id != run_id:
            sent = self.runs[uid] = Sent(run_id)
        return sent

    def save(self) -> None:
        """Publish what has been acknowledged."""
        write_atomic(self._path, json.dumps({uid: asdict(sent) for uid, sent in self.runs.items()}))

    def clear(self) -> None:
        """Forget everything."""
        self.runs = {}
        self._path.unlink(missing_ok=True)
