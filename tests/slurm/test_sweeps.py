"""Sweeps of real stages on a real cluster: what they bring is what one machine brings, whatever happens."""

from itertools import pairwise
from pathlib import Path

import pytest
from disturbing import Disturbance
from local_cluster import LocalCluster, wait_for
from sweeping import ON_SLURM, TWO_RANKS, Sweep

pytestmark = pytest.mark.timeout(3000)

METHODS = ("init", "infonce", "cmc", "mvcgc", "mvcgc_union")
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def rows(videos: Path) -> tuple[str, ...]:
    """Five rows of two seeds, each stage on two ranks; frequent checkpoints, a report after every step."""
    every = ("checkpoint_every_s=0.3", "log_every=1")
    often = [f"resources.{stage}.{key}" for stage in ("init", "cross") for key in every]
    return (
        f"method={','.join(METHODS)}",
        f"seed={','.join(map(str, SEEDS))}",
        *("dataset=folder", f"dataset.root={videos}", "downstream=retrieve"),
        *TWO_RANKS,
        *often,
    )


@pytest.fixture(scope="module")
def local(rows: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """The sweep as the local executor runs it."""
    sweep = Sweep(tmp_path_factory.mktemp("local"), rows)
    sweep.run()
    return sweep


def test_a_sweep_brings_what_one_machine_brings(cluster: LocalCluster, local: Sweep, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, local.arguments)
    sweep.run(*ON_SLURM)
    # Per seed: two initialisations, four guided trainings, and five retrievals.
    assert len(sweep.stages) == (2 + 4 + 5) * len(SEEDS)
    assert sweep.jobs == dict.fromkeys(sweep.stages, 1)
    assert sweep.outputs == local.outputs
    assert sweep.figures == local.figures
    assert sweep.table == local.table

    again = sweep.run(*ON_SLURM)
    assert "submitted" not in again.said


def test_a_disturbed_sweep_brings_the_same(cluster: LocalCluster, local: Sweep, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, local.arguments)
    first = sweep.start(*ON_SLURM)
    wait_for(lambda: first.said.count("submitted as job") >= 5, "the first jobs")
    first.kill()  # in the middle of submission, or soon after
    second = sweep.start(*ON_SLURM)
    disturbance = Disturbance(cluster, sweep)
    disturbance.kill_a_rank()
    disturbance.requeue()
    disturbance.preempt()
    disturbance.restart_a_slurmd()
    limited = disturbance.set_a_time_limit()
    second.kill()
    third = sweep.start(*ON_SLURM)
    disturbance.reach_the_time_limit(limited)
    assert third.wait() == 0, third.said

    assert sweep.jobs == dict.fromkeys(sweep.stages, 1)
    assert sweep.outputs == local.outputs
    assert sweep.figures == local.figures
    assert sweep.table == local.table
    disturbance.check()
    for stage in sweep.stages:
        attempts = sweep.attempts(stage)
        for before, after in pairwise(attempts):
            if before["end"] == "interrupted":
                assert after["from"] == before["to"], (stage, attempts)
