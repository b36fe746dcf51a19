"""A sweep with something to draw of every kind."""

from pathlib import Path

import numpy as np
from fake_sweep import FakeSweep, begin, metrics

from mvcgc.plan import Column, PlotKind, PlotSpec
from mvcgc.runs.folder import StageFolder

CLASSES = 3
LABELS = np.array([0, 0, 1, 1, 2, 2])
PLOTS = [
    PlotSpec(PlotKind.curves, stage="cross", y=["loss", "acc"], x="epoch"),
    PlotSpec(PlotKind.against, x="method.k", y=["Linear rgb"], series="views_key.side"),
    PlotSpec(PlotKind.against, name="columns", x="R@1 rgb", y=["Linear rgb"]),
    PlotSpec(PlotKind.bubbles, x="total_s", y=["Linear rgb"], area="storage_gb"),
    PlotSpec(PlotKind.confusion, stage="linear/demo", view="rgb", rows=["k=1"]),
    PlotSpec(PlotKind.activation, stage="activation/demo", view="rgb"),
]


def make(root: Path) -> FakeSweep:
    """Two finished rows with two seeds, and one of which nothing has run."""
    sweep = FakeSweep(root, baseline=None, paper_table="table1_efficiency_ucf101", plots=PLOTS)
    sweep.columns = [
        Column("retrieve/demo", "r1_rgb", "R@1 rgb"),
        Column("linear/demo", "top1_rgb", "Linear rgb", "top1"),
        Column("linear/demo", "total_s", "Time per video, s", "total_s", "lower"),
        Column("linear/demo", "storage_gb", "Storage, GB", "storage_gb", "lower"),
    ]
    for k in (1, 5, 20):
        for seed in range(2):
            changes = {"method": {"k": k}, "views_key": {"side": 32}}
            row = sweep.row(f"k={k}", seed, paper="MVCGC" if k == 5 else None, changes=changes)
            # A probe of its own for each row: those of a fake sweep belong to all rows of their seed.
            row.stages["linear/demo"] = sweep.stage("linear/demo", f"{k} {seed}")
            row.stages["retrieve/demo"] = sweep.stage("retrieve/demo", f"{k} {seed}")
            row.stages["activation/demo"] = sweep.stage("activation/demo", f"{k} {seed}")
            if k < 20:
                _finish(sweep, row.stages, k, seed)
    sweep.write()
    return sweep


def _finish(sweep: FakeSweep, stages: dict[str, str], k: int, seed: int) -> None:
    rng = np.random.default_rng(100 * k + seed)
    cross = stages["cross"]
    told = [metrics(step, 10 * step, loss=k / step + seed, acc=0.1 * step) for step in (2, 4, 6)]
    sweep.journal(cross, [begin(total=6), {"kind": "params", "params": {"epochs": 3}}, *told])
    sweep.finish(cross, loss=0.1)
    sweep.finish(stages["retrieve/demo"], r1_rgb=20.0 + k + seed)
    linear = stages["linear/demo"]
    sweep.finish(linear, top1_rgb=30.0 + k + seed, total_s=0.1 * k, storage_gb=float(k))
    predictions(sweep.folder(linear), (LABELS + (rng.random(len(LABELS)) < 0.5)) % CLASSES)
    activation = stages["activation/demo"]
    sweep.finish(activation, score=1.0)
    arrays = {
        "names": np.array(["a.avi", "b.avi"]),
        "labels": np.array([0, 2]),
        "classes": np.array(["walk", "run", "jump"]),
        "frame": rng.integers(0, 255, (2, 24, 32, 3), dtype=np.uint8),
        "map_rgb": rng.standard_normal((2, 3, 4)).astype(np.float32),
    }
    np.savez(sweep.folder(activation).path / "activation.npz", **arrays)


def predictions(folder: StageFolder, predicted: np.ndarray) -> None:
    """The file of a probe that has predicted these classes for videos of `LABELS`."""
    names = np.array([f"{number}.avi" for number in range(len(LABELS))])
    scores = np.eye(CLASSES)[predicted]
    np.savez(folder.path / "predictions.npz", names=names, labels=LABELS, rgb=scores)
