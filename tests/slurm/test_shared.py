"""Sweeps that fail in part, share stages, or leave their jobs alone."""

from pathlib import Path

import pytest
from commands import Command
from local_cluster import LocalCluster, wait_for
from sweeping import ON_SLURM, TWO_RANKS, Sweep

from mvcgc import cli

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def data(videos: Path) -> tuple[str, ...]:
    """One seed of stages on two ranks; the rows are up to the test."""
    return ("dataset=folder", f"dataset.root={videos}", "downstream=retrieve", "seed=0", *TWO_RANKS)


def of_kind(sweep: Sweep, kind: str) -> list[str]:
    return [stage for stage in sweep.stages if stage.startswith(kind)]


def test_a_stage_that_fails_takes_only_its_own_rows_along(
    cluster: LocalCluster, data: tuple[str, ...], tmp_path: Path
) -> None:
    sweep = Sweep(tmp_path, (*data, "method=mvcgc", "cross.lr=1e-3,1e30"))
    started = sweep.start(*ON_SLURM)
    assert started.wait() == 1, started.said
    good, bad = sorted(of_kind(sweep, "cross"), key=lambda stage: not sweep.stages[stage].done.exists())
    assert sweep.stages[good].done.exists()
    assert not sweep.stages[bad].done.exists()
    states = {row["row"]: row["state[0]"] for row in sweep.table}
    assert list(states.values()) == ["finished", "failed"]
    once = sweep.jobs
    assert once == dict.fromkeys(sweep.stages, 1), "a stage's own failure is not tried again"
    wait_for(lambda: not cluster.jobs(), "the end of what could not run")

    again = sweep.start(*ON_SLURM)
    assert again.wait() == 1, again.said
    (blocked,) = [stage for stage in of_kind(sweep, "retrieve") if not sweep.stages[stage].done.exists()]
    assert sweep.jobs - once == {bad: 1, blocked: 1}


def test_two_sweeps_started_at_once_run_each_shared_stage_once(
    cluster: LocalCluster, data: tuple[str, ...], tmp_path: Path
) -> None:
    sweeps = [
        Sweep(tmp_path, (*data, f"method=init,{method}", f"results={method}")) for method in ("cmc", "mvcgc")
    ]
    both = [sweep.start(*ON_SLURM) for sweep in sweeps]
    assert [started.wait() for started in both] == [0, 0], [started.said for started in both]
    assert len(sweeps[0].stages) == 2 + 2 + 3
    assert sweeps[0].jobs == dict.fromkeys(sweeps[0].stages, 1)
    for stage in sweeps[0].stages:
        assert len(list(sweeps[0].stages[stage].journal.glob("*.jsonl"))) == 1, stage


def test_submit_and_leave(
    cluster: LocalCluster,
    data: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = Sweep(tmp_path, (*data, "method=init"))
    sweep.run(*ON_SLURM, "hydra.launcher.wait=false")
    assert len(sweep.jobs) == 3
    wait_for(lambda: not cluster.jobs(), "the jobs that were left alone")
    monkeypatch.chdir(tmp_path)
    mvcgc = Command(lambda: cli.main(["--root", str(sweep.root), "tables"]), "mvcgc", monkeypatch, capsys)
    assert mvcgc().code == 0
    assert [row["state[0]"] for row in sweep.table] == ["finished"] * 3
