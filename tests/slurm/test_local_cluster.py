"""slurm/local-cluster itself."""

import importlib.util
import os
import shutil
import signal
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
from local_cluster import SCRIPT, LocalCluster, wait_for

DAEMONS = ["munged", "mariadbd", "slurmdbd", "slurmctld", *(f"slurmd:mvcgc-node{n}" for n in (1, 2, 3))]
# Says on which nodes it runs, and sleeps the first time.
JOB = """#!/bin/bash
srun bash -c 'echo $SLURMD_NODENAME restart={0}'
[ {0} = 1 ] || sleep {1}
"""


@pytest.fixture
def script() -> ModuleType:
    """The program as a module."""
    loader = SourceFileLoader("local_cluster_script", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def submit(cluster: LocalCluster, folder: Path, name: str, seconds: int, *options: str) -> tuple[str, Path]:
    """A job over two nodes; its id and its output."""
    path, output = folder / f"{name}.sh", folder / f"{name}.out"
    path.write_text(JOB.format("${SLURM_RESTART_COUNT:-0}", seconds))
    size = ("--ntasks-per-node=1", "--open-mode=append", f"--output={output}")
    (job,) = cluster.ask("sbatch", "--parsable", *(options or ("--nodes=2",)), *size, str(path))
    return job, output


def ended(cluster: LocalCluster, job: str) -> bool:
    return job not in cluster.jobs()


def test_up_is_harmless_twice_and_down_leaves_nothing(cluster: LocalCluster) -> None:
    other = LocalCluster(cluster.state.with_name(f"{cluster.state.name}-other"))
    try:
        assert other.control("up").stdout == f"export SLURM_CONF={other.conf}\n"
        before = other.daemons()
        assert list(before) == DAEMONS
        assert None not in before.values()
        again = other.control("up")
        assert (again.returncode, again.stdout, again.stderr) == (0, f"export SLURM_CONF={other.conf}\n", "")
        assert other.daemons() == before
        assert f"# mvcgc local cluster in {other.state}" in Path("/etc/hosts").read_text()

        # A job runs under a slurmd that has died: it goes down with the rest.
        (job,) = other.ask("sbatch", "--parsable", "--output=/dev/null", "--wrap=exec sleep 1000.25")
        wait_for(lambda: other.jobs("running") == [job], "the job")
        node = other.job_field(job, "BatchHost")
        os.kill(before[f"slurmd:{node}"] or 0, signal.SIGKILL)
        wait_for(lambda: other.daemons()[f"slurmd:{node}"] is None, "the end of a slurmd")
        assert other.control("status").returncode == 1
    finally:
        down = other.control("down")
    assert (down.returncode, down.stdout + down.stderr) == (0, "")
    assert not other.state.exists()
    # Another process may have a cluster of its own meanwhile, with its own line.
    assert str(other.state) not in Path("/etc/hosts").read_text()
    marks = (str(other.state).encode(), b"sleep\x001000.25")
    processes = [Path(f"/proc/{pid}") for pid in filter(str.isdigit, os.listdir("/proc"))]
    assert [path for path in processes if any(mark in said_of(path) for mark in marks)] == []
    assert other.control("down").returncode == 0, "nothing to do"
    assert other.control("status").returncode == 1


def said_of(process: Path) -> bytes:
    """Its command line and environment."""
    try:
        return (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except OSError:
        return b""


def test_a_killed_daemon_comes_back_and_its_job_goes_on(cluster: LocalCluster, tmp_path: Path) -> None:
    job, output = submit(cluster, tmp_path, "job", 4)
    wait_for(lambda: output.exists() and output.read_text().count("restart=0") == 2, "both ranks")
    node = cluster.job_field(job, "BatchHost")
    os.kill(cluster.daemons()[f"slurmd:{node}"] or 0, signal.SIGKILL)
    up = cluster.control("up")
    assert (up.returncode, up.stderr) == (0, f"starting slurmd:{node}\n")
    wait_for(lambda: ended(cluster, job), "the job's end")
    assert cluster.job_field(job, "JobState") == "COMPLETED"
    assert cluster.job_field(job, "Restarts") == "0"


def test_nodes_accounts_and_preemption_by_requeue(cluster: LocalCluster, tmp_path: Path) -> None:
    low, low_output = submit(cluster, tmp_path, "low", 300)
    wait_for(lambda: low_output.exists() and low_output.read_text().count("restart=0") == 2, "both ranks")
    high, _ = submit(cluster, tmp_path, "high", 0, "--partition=urgent", "--nodes=3", "--exclusive")
    wait_for(lambda: ended(cluster, high), "the urgent job")
    wait_for(lambda: ended(cluster, low), "the other job")
    lines = [line.split() for line in low_output.read_text().splitlines() if "restart=" in line]
    assert sorted(restart for _, restart in lines) == ["restart=0"] * 2 + ["restart=1"] * 2
    assert len({node for node, _ in lines}) >= 2
    question = ("sacct", "-X", "--noheader", "--parsable2", f"--jobs={low},{high}", "--format=JobID,State")
    expected = [f"{low}|COMPLETED", f"{high}|COMPLETED"]
    # slurmdbd hears of an end after the controller has told it to others.
    wait_for(lambda: sorted(cluster.ask(*question)) == expected, "both jobs' end in the accounts")


def test_says_what_is_missing(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = script.Cluster(tmp_path / "c")
    monkeypatch.setattr(script, "LONGEST_STATE", 1000)
    with monkeypatch.context() as patch:
        patch.setattr(script.shutil, "which", lambda *_, **__: None)
        with pytest.raises(
            script.Trouble, match=r"apt-get install .* munge mariadb-server-core .* slurm-client"
        ):
            cluster.up()
    monkeypatch.setattr(script.shutil, "which", lambda *_, **__: "/usr/bin/it")
    with monkeypatch.context() as patch:
        patch.setattr(script.os, "geteuid", lambda: 1000)
        with pytest.raises(script.Trouble, match="needs root"):
            cluster.up()
    monkeypatch.setattr(script.os, "geteuid", lambda: 0)
    monkeypatch.setattr(script, "LONGEST_STATE", 3)
    with pytest.raises(script.Trouble, match="give --state DIR"):
        cluster.up()
    assert not cluster.state.exists()
    assert shutil.which("python3")  # the real one is back
