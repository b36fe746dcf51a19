"""A sweep with every kind of cell that a table has to tell apart."""

from pathlib import Path

import numpy as np
from fake_sweep import FakeSweep

from mvcgc.plan import RowRecord
from mvcgc.runs.folder import StageFolder

AWKWARD = "A_B & 50% <x> | $y#{z}~^\\"
VIDEOS = 400
NAMES = np.array([f"{number:03d}.avi" for number in range(VIDEOS)])
UNION_CHANGE = {"cross": {"lr": 0.003, "epochs": 10}}

FIGURES = {
    "Init.": ([27.0, 26.0, 28.0], [40.0, 41.0, 39.0]),
    "CMC": ([31.5, 30.0, 33.0], [42.0, 44.0, 43.5]),
    "MVCGC (k=5)": ([35.5, 36.5, 37.0], [47.25, 48.0, 46.0]),
    "MVCGC (k=5, union)": ([19.0, None, 20.5], [30.0, None, 29.0]),
}


def make(root: Path) -> FakeSweep:
    """Finished, partly failed, running, interrupted, and rows that were never run; published."""
    sweep = FakeSweep(root)
    for name, (r1, top1) in FIGURES.items():
        changes = UNION_CHANGE if "union" in name else None
        for seed in range(3):
            paper = None if name == "CMC" else name
            row = sweep.row(name, seed, cross=name != "Init.", paper=paper, changes=changes)
            recall, accuracy = r1[seed], top1[seed]
            if recall is None or accuracy is None:
                fail(sweep, row)
            else:
                sweep.complete(row, r1=recall, top1=accuracy)
                leave_ranks(sweep.folder(row.stages["retrieve/demo"]), recall, seed)
                if "union" not in name:
                    leave_predictions(sweep.folder(row.stages["linear/demo"]), accuracy, seed)
    running = sweep.row("CoCLR", 0, paper="CoCLR [RGB+MV]")
    sweep.train(running.stages["cross"], range(1, 5))
    assert sweep.folder(running.stages["cross"]).try_lock("the tests")
    interrupted = sweep.row("MVCGC (k=5, w/o init)", 0, paper="MVCGC (k=5, w/o init)")
    for task in ("linear/demo", "retrieve/demo"):
        sweep.train(interrupted.stages[task], range(1, 5))
        sweep.end(interrupted.stages[task], "interrupted")
    sweep.row(AWKWARD, 0)
    sweep.write()
    return sweep


def leave_predictions(folder: StageFolder, top1: float, seed: int) -> None:
    """Predictions of the test videos, of which ``top1`` per cent are right."""
    scores = np.where(hits_of(top1, seed)[:, None], [0.9, 0.1], [0.1, 0.9])
    np.savez(folder.path / "predictions.npz", names=NAMES, labels=np.zeros(VIDEOS, np.int64), rgb=scores)


def leave_ranks(folder: StageFolder, r1: float, seed: int) -> None:
    """Ranks of the test videos, of which ``r1`` per cent are the first."""
    ranks = np.where(hits_of(r1, seed), 0, 7)
    np.savez(folder.path / "ranks.npz", names=NAMES, labels=np.zeros(VIDEOS, np.int64), rgb=ranks)


def hits_of(share: float, seed: int) -> np.ndarray:
    """Which videos are hit, other ones for each seed and more of the same for a larger share."""
    order = np.random.default_rng(seed).permutation(VIDEOS)
    return order < round(VIDEOS * share / 100)


def fail(sweep: FakeSweep, row: RowRecord) -> None:
    """Cross guidance fails, so that nothing after it begins."""
    sweep.train(row.stages["cross"], range(1, 30))
    sweep.end(row.stages["cross"], "failed", "NotFinite: loss is nan at step 29, videos v_03, v_77")
