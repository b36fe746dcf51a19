"""Sweeps as a run leaves them on disk, without running anything: records, stage folders, journals, DONE.json.

Times are fixed, so that what is made from them can be compared whole.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvcgc.files import sha256_of
from mvcgc.plan import Column, PlotSpec, RowRecord, StageRecord, SweepRecord, TableSpec, write_record
from mvcgc.runs.folder import StageFolder

CREATED_MS = 1_760_000_000_000
DIGEST = "d1" * 32


@dataclass
class FakeSweep:
    """Rows are added with their stages; stages with the same key are shared."""

    root: Path
    name: str = "ablation_loss"
    title: str = "Loss variants"
    baseline: str | None = "Init."
    paper_table: str | None = "table3_pretraining_settings_ucf101"
    columns: list[Column] = field(
        default_factory=lambda: [
            Column("retrieve/demo", "r1_rgb", "R@1 rgb", "retrieval_r1"),
            Column("linear/demo", "top1_rgb", "Linear rgb", "linear_top1"),
        ]
    )
    plots: list[PlotSpec] = field(default_factory=list)
    created_ms: int = CREATED_MS
    suffix: str = "0000"
    rows: list[RowRecord] = field(default_factory=list)
    stages: dict[str, StageRecord] = field(default_factory=dict)
    code_version: int = 1
    digest: str = DIGEST
    views: tuple[str, ...] = ("rgb", "mv")
    tasks: tuple[str, ...] = ("linear", "retrieve")

    def stage(self, name: str, key: str, parents: Mapping[str, str] | None = None) -> str:
        """The id of a stage; equal keys are equal stages."""
        print_ = hashlib.sha256(f"{name} {key} {sorted((parents or {}).items())}".encode()).hexdigest()[:16]
        kind = name.partition("/")[0]
        stage = StageRecord(name, kind, print_, self.code_version, self.digest, dict(parents or {}))
        self.stages[f"{name}-{print_}"] = stage
        return f"{name}-{print_}"

    def row(
        self,
        name: str,
        seed: int,
        *,
        cross: bool = True,
        paper: str | None = None,
        changes: Any = None,
        view: str | None = None,
    ) -> RowRecord:
        """A row of initialised views, cross guidance, linear probe and retrieval."""
        init = {view: self.stage(f"init/{view}", f"{seed}") for view in self.views}
        stages = {f"init/{view}": key for view, key in init.items()}
        parents = init
        if cross:
            stages["cross"] = self.stage("cross", f"{name} {seed}", init)
            parents = dict.fromkeys(init, stages["cross"])
        for task in self.tasks:
            stages[f"{task}/demo"] = self.stage(f"{task}/demo", f"{seed}", parents)
        params: dict[str, Any] = {
            "method": name.split(maxsplit=1)[0].lower(),
            "views": "+".join(self.views),
            "k": 5,
            "seed": seed,
        }
        row = RowRecord(name, seed, paper, params, dict(changes or {}), stages, view)
        self.rows.append(row)
        return row

    @property
    def record(self) -> SweepRecord:
        """What the run would write."""
        return SweepRecord(
            id=f"{self.name}-20251009T085320-{self.suffix}",
            name=self.name,
            title=self.title,
            scale="demo",
            created_ms=self.created_ms,
            command=["python", "-m", "mvcgc.run", "-m", f"sweeps={self.name}", "seed=0,1,2"],
            commit="0123456789abcdef0123456789abcdef01234567",
            dirty=False,
            version="0.1.0",
            table=TableSpec(self.baseline, self.paper_table, self.columns, self.plots),
            base={"views": ["rgb", "mv"], "cross": {"lr": 0.001, "epochs": 10}, "method": {"k": 5}},
            rows=self.rows,
            stages=self.stages,
        )

    def write(self) -> Path:
        """Publish the record."""
        return write_record(self.root, self.record)

    def folder(self, stage: str) -> StageFolder:
        """The folder of the stage with that id."""
        return self.stages[stage].folder(self.root)

    def journal(self, stage: str, records: Sequence[Mapping[str, Any]], attempt: int = 1) -> Path:
        """Append records to the journal of an attempt, as its writer would; ``ts_ms`` is relative."""
        path = self.folder(stage).journal / f"{attempt}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        seq = path.read_bytes().count(b"\n") if path.exists() else 0
        with path.open("a") as file:
            for record in records:
                stamped = {"seq": seq, **record, "ts_ms": self.created_ms + int(record.get("ts_ms", 0))}
                file.write(json.dumps(stamped) + "\n")
                seq += 1
        return path

    def train(
        self, stage: str, steps: range, *, attempt: int = 1, at_ms: int = 1000, scale: float = 1.0
    ) -> None:
        """A journal that begins, resumes where ``steps`` do, and reports a loss for each of them."""
        records: list[dict[str, Any]] = [begin(attempt, 100, at_ms)]
        if steps.start > 1:
            records.append({"kind": "resume", "from_step": steps.start - 1, "ts_ms": at_ms})
        records += [metrics(step, at_ms + 10 * step, loss=scale / step) for step in steps]
        self.journal(stage, records, attempt)

    def end(self, stage: str, status: str, reason: str = "", *, attempt: int = 1, at_ms: int = 9000) -> None:
        """The end of an attempt."""
        self.journal(stage, [{"kind": "end", "status": status, "reason": reason, "ts_ms": at_ms}], attempt)

    def finish(self, stage: str, *, at_ms: int = 10_000, commit: str = "", **figures: float) -> None:
        """DONE.json with one output and these headline figures."""
        folder = self.folder(stage)
        folder.path.mkdir(parents=True, exist_ok=True)
        output = folder.path / "result.json"
        output.write_text(json.dumps({name: str(value) for name, value in figures.items()}))
        described = {"bytes": output.stat().st_size, "sha256": sha256_of(output)}
        content = {
            "fingerprint": folder.fingerprint,
            "finished_ms": self.created_ms + at_ms,
            "outputs": {"result.json": described},
            "metrics": {k: v if v - v == 0 else str(v) for k, v in figures.items()},
        }
        folder.done.write_text(json.dumps(content))
        if commit:
            attempts = [{"attempt": 1, "code": {"commit": commit, "diff": ""}}]
            folder.provenance.write_text(json.dumps({"attempts": attempts}))

    def complete(self, row: RowRecord, *, r1: float, top1: float, at_ms: int = 10_000) -> None:
        """All stages of a row, finished; those that it shares are left as they are."""
        for name, stage in row.stages.items():
            if self.folder(stage).done.exists():
                continue
            figures = {"r1_rgb": r1} if name.startswith("retrieve") else {"top1_rgb": top1}
            if self.stages[stage].kind in ("init", "cross"):
                self.train(stage, range(1, 4))
                figures = {"loss": 0.5}
            self.finish(stage, at_ms=at_ms, commit="0123456789abcdef", **figures)


def begin(attempt: int = 1, total: int = 100, ts_ms: int = 1000) -> dict[str, Any]:
    """The first record of an attempt."""
    about = {"host": "node", "pid": 1, "unit": "step", "total_steps": total}
    return {"kind": "begin", "attempt": attempt, **about, "ts_ms": ts_ms}


def metrics(step: int, ts_ms: int, **figures: float | str) -> dict[str, Any]:
    """Figures after a step."""
    return {"kind": "metrics", "step": step, "metrics": figures, "ts_ms": ts_ms}
