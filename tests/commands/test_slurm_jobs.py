"""Status and cancelling where jobs of SLURM hold the stages; the cluster itself is a stand-in."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fake_sweep import FakeSweep

from mvcgc.commands.cancel import cancel
from mvcgc.commands.status import status, watch
from mvcgc.errors import UserError
from mvcgc.launch.slurm import queue
from mvcgc.launch.slurm.queue import Job, JobState, QueueUnavailable
from mvcgc.plan import RowRecord, active_sweeps
from mvcgc.runs.lock import Jobs


@dataclass
class Cluster:
    """What it is asked and told; ``jobs`` are all that it knows."""

    jobs: dict[str, Job] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    silent: bool = False

    def add(self, fake: FakeSweep, stage: str, job_id: str, state: JobState = JobState.RUNNING) -> None:
        """A job that has the stage's lock."""
        job = Job(job_id, "name", state, state.name, "", "node[1-2]", 0, 1, 3660)
        self.jobs[job_id] = job
        folder = fake.folder(stage)
        assert folder.try_lock(fake.record.id)
        folder.lock.hand_over(f"big:{job_id}")

    def change(self, job_id: str, **changes: object) -> None:
        """What has become of a job."""
        self.jobs[job_id] = replace(self.jobs[job_id], **changes)  # type: ignore[arg-type]

    def ask(self, ids: Sequence[str]) -> dict[str, Job]:
        """In the place of `queue.jobs`."""
        if self.silent:
            raise QueueUnavailable("squeue is not installed here")
        return {job_id: self.jobs[job_id] for job_id in ids if job_id in self.jobs}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    big = Cluster()
    monkeypatch.setattr(queue, "cluster_name", lambda: "big")
    monkeypatch.setattr(queue, "jobs", big.ask)
    monkeypatch.setattr(queue, "cancel", big.cancelled.extend)

    def is_over(job: str) -> bool:
        return not big.silent and not big.jobs[job.partition(":")[2]].state.alive

    monkeypatch.setattr(Jobs, "is_over", staticmethod(is_over))
    return big


def make_sweep(root: Path, name: str = "ablation_loss", row: str = "MVCGC (k=5)") -> FakeSweep:
    """One row whose stages of initialisation are those of every other sweep made so."""
    fake = FakeSweep(root, name=name)
    fake.row(row, 0)
    fake.write()
    active_sweeps.begin(root, fake.record)
    return fake


@pytest.fixture
def sweep(tmp_path: Path) -> FakeSweep:
    return make_sweep(tmp_path / "runs")


def stages_of(fake: FakeSweep) -> dict[str, str]:
    row: RowRecord = fake.rows[0]
    return row.stages


def shown(fake: FakeSweep) -> str:
    return status(fake.root, fake.record)


def note(fake: FakeSweep, name: str) -> str:
    """The line below the table about a stage."""
    key = stages_of(fake)[name]
    line = next(line for line in shown(fake).splitlines() if line.startswith(f"{key}: "))
    return line.removeprefix(f"{key}: ")


class TestStatus:
    def test_a_running_job_says_how_far_it_is_and_where(self, sweep: FakeSweep, cluster: Cluster) -> None:
        stages = stages_of(sweep)
        cluster.add(sweep, stages["init/rgb"], "12")
        cluster.change("12", restarts=1)
        sweep.train(stages["init/rgb"], range(1, 26))
        text = note(sweep, "init/rgb")
        assert text.startswith("step 25/100 loss 0.04")
        assert text.endswith("(job 12 on node[1-2], restart 1, 1 h 1 min of its time left)")
        assert "running 25 %" in shown(sweep)

    def test_a_waiting_job_says_what_for(self, sweep: FakeSweep, cluster: Cluster) -> None:
        stages = stages_of(sweep)
        cluster.add(sweep, stages["init/rgb"], "12", JobState.PENDING)
        cluster.change("12", reason="Resources")
        cluster.add(sweep, stages["cross"], "13", JobState.PENDING)
        cluster.change("13", reason="Dependency")
        sweep.finish(stages["init/mv"], loss=1.0)
        assert note(sweep, "init/rgb") == "job 12 waits: Resources"
        assert note(sweep, "cross") == f"job 13 waits for {stages['init/rgb']}"
        cells = next(line for line in shown(sweep).splitlines() if line.startswith("MVCGC")).split()
        assert cells[-5:] == ["waits", "done", "waits", "-", "-"]

    def test_a_job_that_was_put_back_says_where_it_goes_on(self, sweep: FakeSweep, cluster: Cluster) -> None:
        stages = stages_of(sweep)
        cluster.add(sweep, stages["cross"], "13", JobState.PENDING)
        cluster.change("13", reason="BeginTime", restarts=1)
        sweep.train(stages["cross"], range(1, 41))
        checkpoint = sweep.folder(stages["cross"]).checkpoint / "00000040"
        checkpoint.mkdir(parents=True)
        (checkpoint / "meta.json").write_text("{}")
        assert note(sweep, "cross") == "job 13 waits: BeginTime, goes on from step 40"
        assert "waits 40 %" in shown(sweep)

    def test_a_job_that_ended_without_a_result_says_how(self, sweep: FakeSweep, cluster: Cluster) -> None:
        stages = stages_of(sweep)
        cluster.add(sweep, stages["init/mv"], "11", JobState.CANCELLED)
        cluster.add(sweep, stages["init/rgb"], "12", JobState.TIMEOUT)
        sweep.train(stages["init/rgb"], range(1, 26))
        assert note(sweep, "init/mv") == "did not start; job 11 ended as CANCELLED"
        assert note(sweep, "init/rgb").startswith("stopped at step 25 of 100")
        assert note(sweep, "init/rgb").endswith("; job 12 ended as TIMEOUT")

    def test_without_slurm_the_folders_speak(self, sweep: FakeSweep, cluster: Cluster) -> None:
        stages = stages_of(sweep)
        cluster.add(sweep, stages["init/rgb"], "12")
        cluster.add(sweep, stages["init/mv"], "13", JobState.PENDING)
        sweep.train(stages["init/rgb"], range(1, 26))
        cluster.silent = True
        text = shown(sweep)
        assert "SLURM cannot be asked from here, this is what the folders say" in text
        assert "running 25 %" in text
        assert "job 12 on big since" in note(sweep, "init/rgb")
        assert note(sweep, "init/mv").startswith("waits (job 13 on big since")

    def test_watching_ends_with_the_sweep(
        self,
        sweep: FakeSweep,
        cluster: Cluster,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        stages = stages_of(sweep)
        cluster.add(sweep, stages["init/rgb"], "12")

        def finish(_: float) -> None:
            for stage in stages.values():
                sweep.finish(stage, loss=1.0)

        monkeypatch.setattr(time, "sleep", finish)
        watch(sweep.root, sweep.record)
        out = capsys.readouterr().out
        assert "0 of 5 stages finished" in out
        assert "5 of 5 stages finished" in out


class TestCancel:
    def test_all_jobs_of_a_sweep_at_once(self, sweep: FakeSweep, cluster: Cluster) -> None:
        stages = stages_of(sweep)
        cluster.add(sweep, stages["init/rgb"], "12")
        cluster.add(sweep, stages["cross"], "13", JobState.PENDING)
        cluster.add(sweep, stages["init/mv"], "11", JobState.FAILED)
        lines = cancel(sweep.root, None)
        assert cluster.cancelled == ["12", "13"]
        assert lines == [f"{stages['init/rgb']}: cancelled job 12", f"{stages['cross']}: cancelled job 13"]
        assert active_sweeps.ongoing(sweep.root) == []

    def test_not_what_another_sweep_needs_whoever_submitted_it(
        self, sweep: FakeSweep, cluster: Cluster
    ) -> None:
        other = make_sweep(sweep.root, "other", row="CMC")
        cluster.add(sweep, stages_of(sweep)["init/rgb"], "12")
        cluster.add(other, stages_of(other)["init/mv"], "13")
        cluster.add(sweep, stages_of(sweep)["cross"], "14", JobState.PENDING)
        lines = cancel(sweep.root, "ablation_loss")
        assert cluster.cancelled == ["14"]
        assert f"{stages_of(sweep)['init/rgb']} goes on: {other.record.id} needs it" in lines
        # Once nobody else needs them, the other sweep takes them along, whoever submitted them.
        cancel(sweep.root, "other")
        assert sorted(cluster.cancelled) == ["12", "13", "14"]

    def test_a_stage_that_one_sweep_needs(self, sweep: FakeSweep, cluster: Cluster) -> None:
        cluster.add(sweep, stages_of(sweep)["cross"], "13")
        assert cancel(sweep.root, "cross") == [f"{stages_of(sweep)['cross']}: cancelled job 13"]
        cluster.change("13", state=JobState.CANCELLED)
        with pytest.raises(UserError, match="cross does not run"):
            cancel(sweep.root, "cross")

    def test_a_stage_that_two_sweeps_need(self, sweep: FakeSweep, cluster: Cluster) -> None:
        make_sweep(sweep.root, "other", row="CMC")
        cluster.add(sweep, stages_of(sweep)["init/rgb"], "12")
        with pytest.raises(UserError, match=r"is needed by ablation_loss-.* and other-"):
            cancel(sweep.root, "init/rgb")
        assert cluster.cancelled == []

    def test_jobs_of_another_cluster(
        self, sweep: FakeSweep, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cluster.add(sweep, stages_of(sweep)["cross"], "13")
        monkeypatch.setattr(queue, "cluster_name", lambda: "small")
        with pytest.raises(UserError, match="give the same command on a machine of big"):
            cancel(sweep.root, None)
        assert "job 13 on big since" in note(sweep, "cross")


class TestOngoing:
    def test_a_new_start_takes_the_place_of_one_that_nobody_waits_for(self, tmp_path: Path) -> None:
        first, again = FakeSweep(tmp_path, suffix="0001"), FakeSweep(tmp_path, suffix="0002")
        for fake in (first, again):
            fake.row("CMC", 0)
            fake.write()
        left = os.fork()
        if left == 0:
            active_sweeps.begin(tmp_path, first.record)
            os._exit(0)
        os.waitpid(left, 0)
        assert [record.id for record in active_sweeps.ongoing(tmp_path)] == [first.record.id]
        active_sweeps.begin(tmp_path, again.record)
        assert [record.id for record in active_sweeps.ongoing(tmp_path)] == [again.record.id]

    def test_two_that_are_waited_for_stand_beside_each_other(self, tmp_path: Path) -> None:
        for suffix in ("0001", "0002"):
            fake = FakeSweep(tmp_path, suffix=suffix)
            fake.row("CMC", 0)
            fake.write()
            active_sweeps.begin(tmp_path, fake.record)
        assert len(active_sweeps.ongoing(tmp_path)) == 2
