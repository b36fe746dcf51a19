"""The batch script's hooks on a job's first machine."""

from pathlib import Path

import pytest
from plan_factories import checkpoint, finish, make_graph, make_row

from mvcgc.launch.slurm import job_hooks, queue
from mvcgc.launch.slurm.queue import Job, JobState
from mvcgc.plan import Stage
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.journal import JournalWriter, Status, Tail


class TestJobHooks:
    @pytest.fixture
    def stage(self) -> Stage:
        return next(iter(make_graph([make_row()]).stages.values()))

    @pytest.fixture
    def folder(self, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageFolder:
        """That of a stage whose job 7 has made its first attempt, and holds the lock."""
        self.put_back: list[tuple[str, str]] = []
        folder = stage.folder(tmp_path)
        assert folder.try_lock("sweep")
        folder.lock.hand_over("c:7")
        (folder.path / "slurm").mkdir()
        self.state = JobState.RUNNING
        monkeypatch.setattr(queue, "cluster_name", lambda: "c")
        monkeypatch.setattr(
            queue, "jobs", lambda _: {"7": Job("7", "", self.state, "", "", "", 0, None, None)}
        )
        monkeypatch.setattr(queue, "nodes_up", lambda _: {"node1", "node2", "node3"})
        monkeypatch.setattr(queue, "put_back", lambda *told: self.put_back.append(told))
        for name, value in (("JOB_ID", "7"), ("JOB_NUM_NODES", "2"), ("JOB_PARTITION", "main")):
            monkeypatch.setenv(f"SLURM_{name}", value)
        monkeypatch.setenv("MVCGC_ATTEMPT", "1")
        return folder

    def test_numbers_of_attempts_do_not_come_again(
        self, folder: StageFolder, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert job_hooks.main(["begin", str(folder.path)]) == 0
        assert job_hooks.main(["begin", str(folder.path)]) == 0
        assert capsys.readouterr().out.split() == ["1", "2"]

    def test_a_job_takes_the_lock_that_nobody_has(self, folder: StageFolder) -> None:
        folder.lock.path.unlink()
        assert job_hooks.main(["begin", str(folder.path)]) == 0
        assert folder.owner is not None
        assert folder.owner.job == "c:7"

    def test_a_stage_that_another_job_has_is_left_alone(
        self, folder: StageFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("SLURM_JOB_ID", "8")
        monkeypatch.delenv("MVCGC_ATTEMPT")
        assert job_hooks.main(["begin", str(folder.path)]) == 1
        assert "is run by job 7 on c" in capsys.readouterr().err
        assert job_hooks.main(["end", str(folder.path), "1"]) == 1
        assert folder.owner is not None

    def test_a_finished_stage_gives_its_lock_back(
        self, folder: StageFolder, stage: Stage, tmp_path: Path
    ) -> None:
        finish(stage, tmp_path, loss=0.5)
        assert job_hooks.main(["end", str(folder.path), "143"]) == 0
        assert folder.owner is None

    def test_a_failed_one_says_so_and_gives_its_lock_back(self, folder: StageFolder) -> None:
        folder.logs.mkdir()
        folder.log(1, 0).write_text("ModuleNotFoundError: No module named 'torch'\n")
        assert job_hooks.main(["end", str(folder.path), "1", "--max-retries=3"]) == 1
        assert folder.owner is None
        assert self.put_back == []
        progress = Tail(folder.journal).poll()
        assert progress.status is Status.FAILED
        assert "No module named 'torch'" in progress.reason

    def test_a_stopped_one_goes_back_with_its_lock(
        self, folder: StageFolder, stage: Stage, tmp_path: Path
    ) -> None:
        checkpoint(stage, tmp_path, 8)
        with JournalWriter(folder.journal, 1) as journal:
            journal.end(Status.INTERRUPTED, "SIGUSR2")
        job_hooks.main(["end", str(folder.path), "0", "--max-retries=0"])
        assert self.put_back == [("7", "")]
        assert folder.owner is not None

    def test_a_killed_one_goes_elsewhere_a_few_times(self, folder: StageFolder) -> None:
        (folder.path / "slurm" / "1.log").write_text("srun: error: node2: task 1: Killed\n")
        for _ in range(3):
            job_hooks.main(["end", str(folder.path), "137", "--max-retries=2"])
        assert self.put_back == [("7", "node2")] * 2
        assert "node2: Killed; given up after 2 retries" in Tail(folder.journal).poll().reason

    def test_slurm_has_the_last_word(self, folder: StageFolder, stage: Stage, tmp_path: Path) -> None:
        self.state = JobState.COMPLETING
        checkpoint(stage, tmp_path, 8)
        with JournalWriter(folder.journal, 1) as journal:
            journal.end(Status.INTERRUPTED, "SIGTERM")
        assert job_hooks.main(["end", str(folder.path), "0", "--max-retries=3"]) == 1
        assert self.put_back == []
        assert folder.owner is not None
