"""What MLflow is to show of records, stage folders and journals. Pure: asks neither MLflow nor the clock.

A row with a seed is a root run: it has the row's parameters and the figures of all its stages, so that charts
compare rows. Its stages are children one level deep, each row's own even where rows share the stage: they
have status, duration, configuration and log, but no figures, which would double every chart. A sweep is a tag
of its rows, and a run of its own that holds the table. Everything is found again by the tag ``mvcgc.uid``.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mvcgc.collect.names import metric_name
from mvcgc.plan import RowRecord, StageRecord, StageState, State, SweepRecord
from mvcgc.runs.fingerprint import canonical_json
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.journal import Folded

UID_TAG = "mvcgc.uid"
ROOT_TAG = "mvcgc.root"
NOTE_TAG = "mlflow.note.content"

STATUS = {
    State.RUNNING: "RUNNING",
    State.INTERRUPTED: "KILLED",
    State.FAILED: "FAILED",
    State.DAMAGED: "FAILED",
    State.FINISHED: "FINISHED",
    State.MISSING: "SCHEDULED",
}


@dataclass(frozen=True)
class Sample:
    """One point of one metric."""

    name: str
    step: int
    ts_ms: int
    value: float


@dataclass(frozen=True)
class RunView:
    """A run as it should be; ``end_ms`` is there if it has ended."""

    uid: str
    name: str
    start_ms: int
    end_ms: int | None
    status: str
    tags: dict[str, str]
    params: dict[str, object] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Changes whenever anything in the view does."""
        content = [
            self.name,
            self.end_ms,
            self.status,
            self.tags,
            {k: str(v) for k, v in self.params.items()},
        ]
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class StageFacts:
    """How a stage stands: its state, and when its journal begins, None if it has none."""

    record: StageRecord
    folder: StageFolder
    state: StageState
    begin_ms: int | None

    @property
    def end_ms(self) -> int | None:
        """When it came to its present state."""
        return self.state.done.finished_ms if self.state.done else self.state.progress.ts_ms or None


def uid_of(*parts: str) -> str:
    """A name for a run that any collector of the same root arrives at."""
    return hashlib.sha256(canonical_json(list(parts)).encode()).hexdigest()[:20]


def row_uid(root_id: str, record: SweepRecord, row: RowRecord) -> str:
    """The same for every repetition of a sweep, and another one once its stages are others."""
    return uid_of(root_id, "row", record.name, row.name, str(row.seed), *sorted(row.stages.values()))


def row_view(
    root_id: str, record: SweepRecord, row: RowRecord, facts: Mapping[str, StageFacts], start_ms: int
) -> RunView:
    """The root run of a row; ``facts`` by stage name."""
    status = _status_of_row(facts)
    ends = [found.end_ms for found in facts.values() if found.end_ms is not None]
    finished = sum(found.state.state is State.FINISHED for found in facts.values())
    return RunView(
        uid=row_uid(root_id, record, row),
        name=f"{row.name}, seed {row.seed}",
        start_ms=start_ms,
        end_ms=max([start_ms, *ends]) if status in ("FINISHED", "FAILED", "KILLED") else None,
        status=status,
        tags={
            UID_TAG: row_uid(root_id, record, row),
            ROOT_TAG: root_id,
            "kind": "row",
            "row": row.name,
            "sweep": record.name,
            "sweep_id": record.id,
            "stages": f"{finished} of {len(facts)} finished",
            "mlflow.source.name": " ".join(record.command),
            **({"mlflow.source.git.commit": record.commit} if record.commit else {}),
            NOTE_TAG: _row_note(record, row, facts),
        },
        params={**row.params, "scale": record.scale},
    )


def _status_of_row(facts: Mapping[str, StageFacts]) -> str:
    """A stage that only finished stages ask for may be gone: the row is finished once its last stages are."""
    states = {found.state.state for found in facts.values()}
    if State.RUNNING in states:
        return "RUNNING"
    if states & {State.FAILED, State.DAMAGED}:
        return "FAILED"
    parents = {parent for found in facts.values() for parent in found.record.parents.values()}
    last = [f for f in facts.values() if f"{f.record.name}-{f.record.fingerprint}" not in parents]
    if all(found.state.state is State.FINISHED for found in last):
        return "FINISHED"
    return "KILLED" if State.INTERRUPTED in states else "SCHEDULED"


def _row_note(record: SweepRecord, row: RowRecord, facts: Mapping[str, StageFacts]) -> str:
    lines = [f"**{row.name}**, seed {row.seed}, of sweep *{record.name}* at scale {record.scale}", ""]
    lines += ["| stage | state | figures | fingerprint |", "| --- | --- | --- | --- |"]
    for name, found in facts.items():
        figures = ", ".join(f"{k} {v:.4g}" for k, v in _headline(found).items())
        cells = [name, _words(found), figures, f"`{found.record.fingerprint}`"]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join([*lines, "", f"`{' '.join(record.command)}`"])


def stage_view(
    parent: RunView, record: SweepRecord, facts: StageFacts, folded: Folded, users: int
) -> RunView:
    """The child run of a stage in one of the ``users`` rows that share it; the stage must have begun."""
    stage, state = facts.record, facts.state
    start_ms = facts.begin_ms if facts.begin_ms is not None else facts.end_ms or parent.start_ms
    ended = STATUS[state.state] != "RUNNING"
    uid = f"{parent.uid}/{stage.name}"
    return RunView(
        uid=uid,
        name=stage.name,
        start_ms=start_ms,
        end_ms=max(start_ms, facts.end_ms or start_ms) if ended else None,
        status=STATUS[state.state],
        tags={
            **folded.tags,
            UID_TAG: uid,
            ROOT_TAG: parent.tags[ROOT_TAG],
            "kind": "stage",
            "stage": stage.name,
            "row": parent.tags["row"],
            "sweep": record.name,
            "fingerprint": stage.fingerprint,
            "code_version": str(stage.code_version),
            "dataset_digest": stage.dataset_digest,
            "attempts": str(folded.progress.attempt),
            **_odd_figures(folded, facts),
            NOTE_TAG: _stage_note(parent, facts, users),
        },
    )


def _stage_note(parent: RunView, facts: StageFacts, users: int) -> str:
    shared = "" if users == 1 else f", shared by {users} rows"
    lines = [f"**{facts.record.name}** of *{parent.name}*: {_words(facts)}{shared}", ""]
    figures = _headline(facts)
    if figures:
        lines += [
            "| figure | value |",
            "| --- | ---: |",
            *(f"| {k} | {v:.6g} |" for k, v in figures.items()),
            "",
        ]
    return "\n".join(
        [*lines, "Its curves are among the metrics of the parent run.", "", f"`{facts.folder.path}`"]
    )


def _headline(facts: StageFacts) -> dict[str, float]:
    return facts.state.done.metrics if facts.state.done else {}


def _words(facts: StageFacts) -> str:
    """The state, and what there is to say about it."""
    detail = "" if facts.state.state is State.RUNNING else facts.state.detail
    return f"{facts.state.state.value}: {detail}" if detail else facts.state.state.value


def sweep_view(
    root_id: str, record: SweepRecord, start_ms: int, rows: Sequence[RunView], table: str | None
) -> RunView:
    """The run that holds the table of a sweep; ``table`` is its Markdown, if it has been written."""
    uid = uid_of(root_id, "sweep", record.name)
    statuses = [row.status for row in rows]
    status = next((s for s in ("RUNNING", "FAILED", "KILLED", "SCHEDULED") if s in statuses), "FINISHED")
    ended = status in ("FINISHED", "FAILED", "KILLED")
    return RunView(
        uid=uid,
        name=f"table of {record.name}",
        start_ms=start_ms,
        end_ms=max([start_ms, *(row.end_ms or start_ms for row in rows)]) if ended else None,
        status=status,
        tags={
            UID_TAG: uid,
            ROOT_TAG: root_id,
            "kind": "table",
            "sweep": record.name,
            "sweep_id": record.id,
            "mlflow.source.name": " ".join(record.command),
            NOTE_TAG: table or f"# {record.title or record.name}\n\n`{' '.join(record.command)}`",
        },
    )


def samples_of(facts: StageFacts, folded: Folded) -> dict[str, list[Sample]]:
    """All points of a stage by metric, ascending in step.

    A headline figure without a curve is a single point, which MLflow draws as a bar. Left out are points that
    are no numbers, since MLflow draws an infinity as 1.8e308, beside which all others of the chart are zero;
    the stage's run says so in its tag ``not_finite``.
    """
    stage, done = facts.record.name, facts.state.done
    points: dict[str, list[Sample]] = {}
    for metric, curve in folded.points.items():
        name = metric_name(stage, metric)
        points[name] = [Sample(name, p.step, p.ts_ms, p.value) for p in curve if math.isfinite(p.value)]
    for metric, value in (done.metrics if done else {}).items():
        name = metric_name(stage, metric)
        if done and name not in points and math.isfinite(value):
            points[name] = [Sample(name, 0, done.finished_ms, value)]
    return {name: found for name, found in points.items() if found}


def _odd_figures(folded: Folded, facts: StageFacts) -> dict[str, str]:
    """A tag that names each metric that was not finite, and where first; no tag if none was."""
    odd = {name: value for name, value in _headline(facts).items() if not math.isfinite(value)}
    told = [f"{name} is {value} in the end" for name, value in odd.items()]
    for name, curve in folded.points.items():
        first = next((point for point in curve if not math.isfinite(point.value)), None)
        if first is not None:
            told.append(f"{name} is {first.value} at step {first.step}")
    return {"not_finite": "; ".join(told)} if told else {}
