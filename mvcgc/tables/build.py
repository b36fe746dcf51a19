"""From a sweep's record and the DONE.json of its stages to the table. MLflow is never asked."""

import dataclasses
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.errors import UserError
from mvcgc.plan import Column, RowRecord, StageState, State, SweepRecord, stage_state
from mvcgc.tables.comparability import comparability_notes
from mvcgc.tables.cost import Cost, cost_of
from mvcgc.tables.differences import with_differences
from mvcgc.tables.machines import TIMED, machine_notes, machine_of
from mvcgc.tables.model import Cell, Line, Note, Table, Trial
from mvcgc.tables.paper_notes import paper_notes
from mvcgc.tables.per_video import Outcomes, is_share_of_videos, load_outcomes
from mvcgc.tables.reference import check_paper, paper_table


def table_of(root: Path, record: SweepRecord) -> Table:
    """The table of a sweep as its stage folders under ``root`` stand now.

    Raises UserError if the record names a row or column of the paper, or a baseline, that there is not.
    """
    spec = record.table
    check_paper(
        spec.paper_table, (column.paper for column in spec.columns), (row.paper for row in record.rows)
    )
    rows = _by_name(record.rows)
    if spec.baseline is not None and spec.baseline not in rows:
        raise UserError(f"baseline={spec.baseline!r}: {record.name} has the rows {'; '.join(rows)}")
    stages = _Stages(root, record)
    machines = stages.machines()
    marks, notes = comparability_notes(record, rows, machines)
    lines = [
        Line(name, _cells(stages, spec.columns, trials), baseline=name == spec.baseline, marks=marks[name])
        for name, trials in rows.items()
    ]
    lines, unbounded = with_differences(lines, spec.columns, rows, stages.outcomes)
    lines = _with_paper(lines, record)
    commits = stages.commits()
    return Table(
        sweep=record.name,
        title=record.title or record.name,
        scale=record.scale,
        columns=tuple(spec.columns),
        lines=tuple(_with_best(lines, spec.columns)),
        seeds=tuple(sorted({row.seed for row in record.rows})),
        baseline=spec.baseline,
        paper_title=paper_table(spec.paper_table).title if spec.paper_table else None,
        notes=(
            *notes,
            *unbounded,
            *paper_notes(record),
            *machine_notes(machines, record.stages),
            *stages.failures(),
            *_commit_notes(commits),
        ),
        command=_command(record.command),
        commit=", ".join(commits),
        code=_code_versions(record),
        data=tuple(sorted({stage.dataset_digest for stage in record.stages.values()})),
        finished_ms=stages.finished_ms(),
        cost=stages.cost(),
    )


@dataclass
class _Stages:
    """The stages of a record; each folder is looked at once."""

    root: Path
    record: SweepRecord
    _seen: dict[str, StageState] = field(default_factory=dict)
    _outcomes: dict[tuple[str, str], Outcomes | None] = field(default_factory=dict)

    def state(self, stage: str) -> StageState:
        if stage not in self._seen:
            self._seen[stage] = stage_state(self.record.stages[stage].folder(self.root))
        return self._seen[stage]

    def trial(self, row: RowRecord, column: Column) -> Trial:
        """One seed's figure. A stage that has not begun stands as those do that it waits for."""
        stage = row.stages.get(column.stage)
        if stage is None:
            return Trial(row.seed, State.MISSING, None, "")
        found = self.state(stage)
        metrics = found.done.metrics if found.done else {}
        name = _metric_name(metrics, column.metric, row.view)
        value = metrics[name] if name else None
        return Trial(row.seed, self._outlook(stage), value, self.record.stages[stage].fingerprint)

    def outcomes(self, row: RowRecord, column: Column) -> Outcomes | str:
        """The hits and misses behind a figure that there is; in words, why they are not known."""
        stage = row.stages[column.stage]
        done = self.state(stage).done
        metric = _metric_name(done.metrics, column.metric, row.view) if done else None
        assert metric is not None, f"{row.name} has no figure in {column.label}"
        if not is_share_of_videos(metric):
            return "not a share of test videos"
        if (stage, metric) not in self._outcomes:
            self._outcomes[stage, metric] = load_outcomes(self.record.stages[stage].folder(self.root), metric)
        found = self._outcomes[stage, metric]
        if found is None:
            return "some stages are of earlier code, which did not keep the outcome of each video"
        return found

    def _outlook(self, stage: str) -> State:
        own = self.state(stage).state
        if own is not State.MISSING:
            return own
        awaited = {self._outlook(parent) for parent in self.record.stages[stage].parents.values()}
        return next((state for state in (State.FAILED, State.RUNNING) if state in awaited), State.MISSING)

    def failures(self) -> list[Note]:
        """Return why stages failed or are damaged, each with the rows that it concerns."""
        notes = []
        for stage in self.record.stages:
            found = self.state(stage)
            if found.state in (State.FAILED, State.DAMAGED):
                rows = [
                    f"{row.name}, seed {row.seed}" for row in self.record.rows if stage in row.stages.values()
                ]
                reason = f"{stage} {found.state.value}: {found.detail or 'no reason given'}"
                notes.append(Note("", f"{reason} ({'; '.join(rows)})"))
        return notes

    def finished_ms(self) -> int | None:
        """Return the time at which the last stage finished, in ms; None if none did."""
        done = [self.state(stage).done for stage in self.record.stages]
        return max((found.finished_ms for found in done if found), default=None)

    def cost(self) -> Cost:
        """Return what the finished stages have cost."""
        return cost_of(
            stage.folder(self.root) for key, stage in self.record.stages.items() if self.state(key).done
        )

    def machines(self) -> dict[str, str]:
        """By the ids of the finished stages whose figures are times: where these were taken."""
        return {
            key: machine_of(stage.folder(self.root).provenance)
            for key, stage in self.record.stages.items()
            if stage.kind == TIMED and self.state(key).done
        }

    def commits(self) -> list[str]:
        """The commits at which the finished stages were computed, each with "+" if it had changes."""
        found = (
            _commit_of(self.record.stages[stage].folder(self.root).provenance)
            for stage in self.record.stages
            if self.state(stage).done
        )
        return sorted({commit for commit in found if commit})


def _metric_name(metrics: Mapping[str, float], name: str, view: str | None) -> str | None:
    """The metric's whole name; one that names no view is that of ``view``, else of all, two or one."""
    if name not in metrics:
        of_views = [metric for metric in metrics if metric.startswith(f"{name}_")]
        only = of_views[0] if len(of_views) == 1 else None
        name = f"{name}_{view or 'both'}"
        if view is None and name not in metrics:
            return only
    return name if name in metrics else None


def _command(words: Sequence[str]) -> str:
    """The command as one would type it: where the interpreter lies is this machine's affair."""
    if not words:
        return ""
    program = re.sub(r"^python[\d.]*$", "python", Path(words[0]).name)
    return shlex.join([program, *words[1:]])


def _code_versions(record: SweepRecord) -> str:
    kinds = sorted({(stage.kind, stage.code_version) for stage in record.stages.values()})
    return ", ".join([f"mvcgc {record.version}", *(f"{kind} {version}" for kind, version in kinds)])


def _commit_of(provenance: Path) -> str:
    """The commit of the attempt that finished a stage, short; empty if it is not known."""
    try:
        code = json.loads(provenance.read_text())["attempts"][-1]["code"]
        commit = code["commit"]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return ""
    return f"{commit[:12]}{'+' if code.get('diff') else ''}" if commit else ""


def _commit_notes(commits: Sequence[str]) -> Iterable[Note]:
    if len(commits) > 1:
        yield Note(
            "", f"Stages were computed at {len(commits)} commits of the code; their code versions agree."
        )
    if any(commit.endswith("+") for commit in commits):
        yield Note("", "+: with uncommitted changes, kept in the stages' provenance.json.")


def _by_name(rows: Sequence[RowRecord]) -> dict[str, list[RowRecord]]:
    grouped: dict[str, list[RowRecord]] = {}
    for row in rows:
        grouped.setdefault(row.name, []).append(row)
    return {name: sorted(trials, key=lambda row: row.seed) for name, trials in grouped.items()}


def _cells(stages: _Stages, columns: Sequence[Column], rows: Sequence[RowRecord]) -> tuple[Cell, ...]:
    return tuple(Cell(tuple(stages.trial(row, column) for row in rows)) for column in columns)


def _with_paper(lines: list[Line], record: SweepRecord) -> list[Line]:
    """The paper's figures: beside the rows that are its rows, and below them those of all other rows."""
    if record.table.paper_table is None:
        return lines
    table = paper_table(record.table.paper_table)
    columns = [table.figures(column.paper) if column.paper else {} for column in record.table.columns]
    label_of = {row.name: row.paper for row in record.rows}
    cited = []
    for line in lines:
        figures = [column.get(label_of[line.name] or "") for column in columns]
        cells = [dataclasses.replace(c, paper=figure) for c, figure in zip(line.cells, figures, strict=True)]
        cited.append(dataclasses.replace(line, cells=tuple(cells)))
    rest = dict.fromkeys(label for column in columns for label in column if label not in label_of.values())
    for label in rest:
        cells = [Cell(paper=column.get(label)) for column in columns]
        cited.append(Line(label, tuple(cells), literature=True))
    return cited


def _with_best(lines: list[Line], columns: Sequence[Column]) -> list[Line]:
    """Mark each column's best mean, where all that have one have it of two seeds and nothing is running."""
    best: set[tuple[int, int]] = set()
    for at, column in enumerate(columns):
        cells = {row: line.cells[at] for row, line in enumerate(lines) if line.cells[at].trials}
        means = {row: cell.mean for row, cell in cells.items() if cell.mean is not None}
        final = not any(cell.count(State.RUNNING) for cell in cells.values())
        if len(means) >= 2 and final and all(len(cells[row].values) >= 2 for row in means):
            sign = -1.0 if column.better == "lower" else 1.0
            top = max(sign * mean for mean in means.values())
            best |= {(row, at) for row, mean in means.items() if sign * mean == top}
    return [
        dataclasses.replace(
            line,
            cells=tuple(dataclasses.replace(c, best=(row, at) in best) for at, c in enumerate(line.cells)),
        )
        for row, line in enumerate(lines)
    ]
