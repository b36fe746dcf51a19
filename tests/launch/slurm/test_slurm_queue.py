"""Asking the queue, of commands that stand in for SLURM's own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mvcgc.launch.slurm import queue
from mvcgc.launch.slurm.queue import Job, JobState, QueueUnavailable

Install = Callable[[str, str], None]

PENDING = "7|mvcgc-a-cross|PENDING|Resources||0|1760000000|1:00:00|"
RUNNING = "8|a name|RUNNING|None|node[1-2]|2|1760000000|1-02:03:04|"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a shell script on the path, before all that is there."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    queue.cluster_name.cache_clear()

    def put(name: str, script: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    yield put
    queue.cluster_name.cache_clear()


def test_jobs_of_all_that_squeue_tells(install: Install) -> None:
    install("squeue", f"echo '{PENDING}'; echo '{RUNNING}'")
    found = queue.jobs(["7", "8"])
    assert found["7"] == Job(
        "7", "mvcgc-a-cross", JobState.PENDING, "PENDING", "Resources", "", 0, None, 3600
    )
    seconds_left = 26 * 3600 + 3 * 60 + 4
    assert found["8"] == Job(
        "8", "a name", JobState.RUNNING, "RUNNING", "", "node[1-2]", 2, 1_760_000_000_000, seconds_left
    )


def test_what_the_controller_has_forgotten_comes_from_the_accounting(install: Install) -> None:
    install("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    install("sacct", "echo '9|n|CANCELLED by 1000|None|node3|1760000000'")
    job = queue.jobs(["9"])["9"]
    assert (job.state, job.raw, job.nodes, job.state.alive) == (
        JobState.CANCELLED,
        "CANCELLED",
        "node3",
        False,
    )


def test_without_accounting_the_forgotten_are_absent(install: Install) -> None:
    install("squeue", "exit 0")
    install("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert queue.jobs(["9"]) == {}


def test_no_job_asks_nobody(install: Install) -> None:
    install("squeue", "exit 1")
    assert queue.jobs([]) == {}


def test_a_controller_that_does_not_answer_is_not_an_empty_queue(install: Install) -> None:
    install("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(QueueUnavailable, match="Unable to contact"):
        queue.jobs(["9"])


def test_a_command_that_hangs(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("squeue", "exec sleep 60")
    monkeypatch.setattr(queue, "PATIENCE_S", 0.2)
    with pytest.raises(QueueUnavailable, match="has not answered"):
        queue.mine()


def test_a_machine_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not queue.available()
    with pytest.raises(QueueUnavailable, match="squeue is not installed here"):
        queue.jobs(["9"])


def test_a_state_that_is_new_to_us_may_be_alive(install: Install) -> None:
    install("squeue", f"echo '{RUNNING.replace('RUNNING', 'LEVITATING')}'")
    job = queue.jobs(["8"])["8"]
    assert (job.state, job.raw) == (JobState.UNKNOWN, "LEVITATING")
    assert job.state.alive


def test_jobs_named_are_those_alive(install: Install) -> None:
    install("squeue", f"echo '{PENDING}'; echo '{RUNNING.replace('RUNNING', 'COMPLETED')}'")
    assert [job.id for job in queue.jobs_named("any")] == ["7"]


def test_the_users_own_formats_and_filters_do_not_count(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUEUE_FORMAT", "%i")
    monkeypatch.setenv("SQUEUE_PARTITION", "other")
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    install("squeue", f'test "$SQUEUE_FORMAT$SQUEUE_PARTITION$SLURM_TIME_FORMAT" = %s && echo "{PENDING}"')
    assert list(queue.jobs(["7"])) == ["7"]


def test_cluster_name(install: Install) -> None:
    install("scontrol", "echo 'AccountingStorageType = x'; echo 'ClusterName             = big'")
    assert queue.cluster_name() == "big"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:30", 30), ("10:00", 600), ("2-00:00:00", 172_800), ("UNLIMITED", None), ("NOT_SET", None)],
)
def test_time_left(text: str, seconds: int | None, install: Install) -> None:
    install("squeue", f"echo '{PENDING.replace('1:00:00', text)}'")
    assert queue.jobs(["7"])["7"].time_left_s == seconds
