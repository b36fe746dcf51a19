"""Submitting a stage, with a shell script in place of sbatch."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from plan_factories import make_graph, make_row

from mvcgc.errors import UserError
from mvcgc.launch.slurm import queue
from mvcgc.launch.slurm.batch_script import RANK, batch_script
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.launch.slurm.submit import ComeBackLater, Submission, Submitter
from mvcgc.plan import Stage
from mvcgc.runs.folder import StageFolder

Install = Callable[[str], None]


@pytest.fixture
def stage() -> Stage:
    return next(iter(make_graph([make_row()]).stages.values()))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a shell script in sbatch's place."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(queue, "cluster_name", lambda: "c")

    def put(script: str) -> None:
        path = tmp_path / "sbatch"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return put


def submitted(stage: Stage, root: Path) -> str | ComeBackLater:
    assert stage.folder(root).try_lock("sweep")
    submitter = Submitter(root, SlurmConfig(), None, RANK)
    (job,) = submitter.submit([Submission(stage, ["11"], may_exist=False)])
    return job


def owner_of(folder: StageFolder) -> str:
    return folder.owner.job if folder.owner else ""


@pytest.mark.parametrize("answer", ["77", "77;big", "Welcome to the cluster\n77"])
def test_the_job_owns_the_lock_and_its_script_is_kept(
    answer: str, install: Install, stage: Stage, tmp_path: Path
) -> None:
    install(f"cat > '{tmp_path}/received'; echo '{answer}'")
    assert submitted(stage, tmp_path) == "77"
    folder = stage.folder(tmp_path)
    assert owner_of(folder) == "c:77"
    script = batch_script(stage, SlurmConfig(), tmp_path, ["11"]).text
    assert (tmp_path / "received").read_text() == script
    assert (folder.path / "slurm" / "77_submission.sh").read_text() == script


def test_a_refusal_is_told_in_one_line_and_unlocks(
    install: Install, stage: Stage, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    install("echo 'sbatch: lua: a greeting' >&2; echo 'sbatch: error: invalid partition: x' >&2; exit 1")
    with pytest.raises(UserError) as refused:
        submitted(stage, tmp_path)
    assert str(refused.value) == f"sbatch refuses {stage.name}: sbatch: error: invalid partition: x"
    assert stage.folder(tmp_path).owner is None
    assert capfd.readouterr() == ("", "")


def test_a_full_queue_is_no_refusal(install: Install, stage: Stage, tmp_path: Path) -> None:
    install("echo 'sbatch: error: Batch job submission failed: QOSMaxSubmitJobPerUserLimit' >&2; exit 1")
    assert isinstance(submitted(stage, tmp_path), ComeBackLater)
    assert stage.folder(tmp_path).owner is None


@pytest.mark.parametrize(
    ("script", "said"),
    [("exit 3", "exit code 3"), ("echo queued; exit 0", "queued"), ("echo no room >&2; exit 1", "no room")],
)
def test_other_answers_are_passed_on(
    script: str, said: str, install: Install, stage: Stage, tmp_path: Path
) -> None:
    install(script)
    with pytest.raises(UserError, match=f"sbatch refuses init/rgb: {said}$"):
        submitted(stage, tmp_path)


def test_a_machine_without_sbatch(
    install: Install, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = shutil.which("git")
    assert git is not None
    (tmp_path / "git").symlink_to(git)  # for the provenance
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch is not installed here"):
        submitted(stage, tmp_path)


def test_a_job_submitted_from_a_job_does_not_inherit_its_size(
    install: Install, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("JOB_ID", "5"), ("NTASKS", "64"), ("CONF", "/etc/our.conf")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    install(f"env > '{tmp_path}/seen'; echo 77")
    submitted(stage, tmp_path)
    seen = (tmp_path / "seen").read_text().splitlines()
    assert [line for line in seen if line.startswith("SLURM_")] == ["SLURM_CONF=/etc/our.conf"]
    assert os.environ["SLURM_NTASKS"] == "64"
