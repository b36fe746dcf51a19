"""Following a graph on a cluster that a stand-in plays: sbatch, squeue and what jobs do are told here."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from threading import Lock

import pytest
from plan_factories import finish, make_graph, make_row
from rich.console import Console

from mvcgc.launch.display import LineDisplay
from mvcgc.launch.report import Report
from mvcgc.launch.slurm import execute as module
from mvcgc.launch.slurm import queue, submit, tracked_job
from mvcgc.launch.slurm.batch_script import BatchScript
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.launch.slurm.execute import execute
from mvcgc.launch.slurm.queue import Job, JobState
from mvcgc.method.init_only import InitOnly
from mvcgc.plan import Graph, Stage
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.journal import JournalWriter, Status, Tail
from mvcgc.runs.lock import Jobs

TAKE_ALL = """
import sys
from mvcgc.runs.lock import Lock, Path
assert all([Lock(Path(path)).try_acquire() for path in sys.argv[1:]])
"""


@dataclass
class Cluster:
    """Jobs by id; ``behave`` is called with a job's id, each time the queue is asked, while it is alive."""

    root: Path
    graph: Graph
    states: dict[str, JobState] = field(default_factory=dict)
    scripts: dict[str, BatchScript] = field(default_factory=dict)
    behave: Callable[[str], None] = lambda _: None
    refusals: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    turn: Lock = field(default_factory=Lock)

    def sbatch(self, script: BatchScript, _: object) -> str:
        if self.refusals:
            raise submit.SbatchError(f"sbatch: error: {self.refusals.pop()}")
        with self.turn:
            number = str(100 + len(self.states))
            self.states[number], self.scripts[number] = JobState.PENDING, script
        return number

    def jobs(self, ids: list[str]) -> dict[str, Job]:
        for number in ids:
            if self.states[number].alive:
                self.behave(number)
        return {number: self.job(number) for number in ids if number in self.states}

    def job(self, number: str) -> Job:
        state = self.states[number]
        return Job(number, self.scripts[number].name, state, state.name, "", "", 0, None, None)

    def named(self, name: str) -> list[Job]:
        return [job for job in map(self.job, self.states) if job.name == name and job.state.alive]

    def stage(self, number: str) -> Stage:
        folder = self.scripts[number].folder.parent
        return self.graph.stages[folder.relative_to(self.root / "stages").as_posix()]

    def after(self, number: str) -> list[str]:
        for line in self.scripts[number].text.splitlines():
            if "--dependency=afterok:" in line:
                return [
                    self.stage(parent).name for parent in line.strip("'").partition("afterok:")[2].split(":")
                ]
        return []

    def succeed(self, number: str) -> None:
        finish(self.stage(number), self.root, loss=0.5)
        self.end(number, JobState.DONE)

    def end(self, number: str, state: JobState) -> None:
        self.states[number] = state

    def run(self, purpose: str = "", **settings: bool) -> tuple[Report, str]:
        said = StringIO()
        display = LineDisplay(self.graph, Console(file=said, width=500))
        report = execute(self.graph, self.root, SlurmConfig(**settings), purpose=purpose, display=display)
        return report, said.getvalue()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Of one row: init/rgb, init/mv, cross, linear/tiny, retrieve/tiny."""
    made = Cluster(tmp_path, make_graph([make_row()]))
    monkeypatch.setattr(queue, "available", lambda: True)
    monkeypatch.setattr(queue, "cluster_name", lambda: "c")
    monkeypatch.setattr(queue, "jobs", made.jobs)
    monkeypatch.setattr(queue, "start_now", made.started.append)
    monkeypatch.setattr(queue, "jobs_named", made.named)
    monkeypatch.setattr(submit, "sbatch", made.sbatch)
    monkeypatch.setattr(
        Jobs, "is_over", staticmethod(lambda job: not made.states[job.partition(":")[2]].alive)
    )
    for name in ("LOOK_EVERY_S", "ASK_EVERY_S", "LATER_S"):
        monkeypatch.setattr(module, name, 0.0)
    monkeypatch.setattr("mvcgc.launch.executor.READ_EVERY_S", 0.0)
    monkeypatch.setattr("mvcgc.launch.slurm.tracked_job.SETTLE_S", 0.0)
    return made


def test_each_stage_is_a_job_after_those_of_its_parents(cluster: Cluster) -> None:
    cluster.behave = cluster.succeed
    report, said = cluster.run()
    assert report.exit_code == 0
    assert report.ran == report.done == cluster.graph.stages.keys()
    asked = {cluster.stage(number).name: sorted(cluster.after(number)) for number in cluster.states}
    assert asked == {
        "init/rgb": [],
        "init/mv": [],
        "cross": ["init/mv", "init/rgb"],
        "linear/tiny": ["cross"],
        "retrieve/tiny": ["cross"],
    }
    # The initialisations are submitted side by side.
    assert re.search("cross submitted as job 102, after (100, 101|101, 100)\n", said)


def test_edges_to_finished_stages_are_left_out(cluster: Cluster) -> None:
    first = next(iter(cluster.graph.stages.values()))
    finish(first, cluster.root, loss=1.0)
    cluster.run(wait=False)
    asked = {cluster.stage(number).name: cluster.after(number) for number in cluster.states}
    assert asked["cross"] == ["init/mv"]


class TestLeaving:
    def test_the_jobs_have_the_locks(self, cluster: Cluster) -> None:
        report, said = cluster.run(wait=False)
        assert report.exit_code == 0
        assert sorted(report.left.values()) == list(cluster.states)
        owners = [cluster.stage(number).folder(cluster.root).owner for number in cluster.states]
        assert [owner.job for owner in owners if owner] == [f"c:{number}" for number in cluster.states]
        assert "5 jobs go on by themselves, 0 stages are run by others" in said

    def test_another_finds_and_awaits_them(self, cluster: Cluster) -> None:
        cluster.run(purpose="", wait=False)
        cluster.behave = cluster.succeed
        report, said = cluster.run()
        assert len(cluster.states) == 5
        assert report.done == cluster.graph.stages.keys()
        assert report.ran == set()
        assert "cross is awaited: run by job 102 on c" in said


class TestFailure:
    def fail(self, cluster: Cluster, name: str) -> Callable[[str], None]:
        def behave(number: str) -> None:
            stage = cluster.stage(number)
            if stage.name != name:
                cluster.succeed(number)
                return
            with JournalWriter(stage.folder(cluster.root).journal, 1) as journal:
                journal.end(Status.FAILED, "NotFinite: the loss is nan")
            cluster.end(number, JobState.FAILED)
            for other in cluster.states:
                if name in cluster.after(other):
                    cluster.end(other, JobState.CANCELLED)

        return behave

    def test_blocks_what_builds_on_it_and_nothing_else(self, cluster: Cluster) -> None:
        cluster.graph = make_graph([make_row(), make_row("init", method=InitOnly.Config(queue=16))])
        cluster.behave = self.fail(cluster, "cross")
        report, said = cluster.run()
        assert report.exit_code == 1
        assert [failure.reason for failure in report.failed.values()] == ["NotFinite: the loss is nan"]
        assert sorted(key.rpartition("-")[0] for key in report.blocked) == ["linear/tiny", "retrieve/tiny"]
        names = sorted(key.rpartition("-")[0] for key in report.done)
        assert names == ["init/mv", "init/rgb", "linear/tiny", "retrieve/tiny"]
        assert "1 failed, 2 blocked by that" in said

    def test_the_same_command_submits_just_what_is_missing(self, cluster: Cluster) -> None:
        cluster.behave = self.fail(cluster, "cross")
        cluster.run()
        before = set(cluster.states)
        cluster.behave = cluster.succeed
        assert cluster.run()[0].exit_code == 0
        again = [cluster.stage(number).name for number in cluster.states if number not in before]
        assert sorted(again) == ["cross", "linear/tiny", "retrieve/tiny"]

    def test_a_job_that_is_cancelled_by_hand(self, cluster: Cluster) -> None:
        cluster.behave = lambda number: cluster.end(number, JobState.CANCELLED)
        report, _ = cluster.run()
        assert {failure.reason for failure in report.failed.values()} == {
            "job 100 ended as CANCELLED",
            "job 101 ended as CANCELLED",
        }


def test_a_job_that_was_cut_off_is_submitted_again_a_few_times(cluster: Cluster) -> None:
    cluster.behave = lambda number: cluster.end(number, JobState.TIMEOUT)
    report, _ = cluster.run()
    assert {failure.reason.partition("ended")[2] for failure in report.failed.values()} == {" as TIMEOUT"}
    names = [cluster.stage(number).name for number in cluster.states]
    assert names.count("init/rgb") == names.count("init/mv") == 1 + SlurmConfig().max_retries


def test_what_another_gives_up_is_submitted_again(cluster: Cluster) -> None:
    cluster.run(wait=False)
    for number in list(cluster.states):
        cluster.end(number, JobState.CANCELLED)

    def behave(number: str) -> None:
        assert int(number) >= 105
        cluster.succeed(number)

    cluster.behave = behave
    report, _ = cluster.run()
    assert report.ran == cluster.graph.stages.keys()
    assert len(cluster.states) == 10


def test_a_job_whose_submitter_died_too_early_is_adopted(cluster: Cluster) -> None:
    cluster.run(wait=False)
    locks = [stage.folder(cluster.root).lock.path for stage in cluster.graph.stages.values()]
    for path in locks:
        path.unlink()
    subprocess.run([sys.executable, "-c", TAKE_ALL, *map(str, locks)], check=True)
    report, _ = cluster.run(wait=False)
    assert len(cluster.states) == 5
    assert sorted(report.left.values()) == list(cluster.states)
    assert all(held_by_a_job(stage.folder(cluster.root)) for stage in cluster.graph.stages.values())


def held_by_a_job(folder: StageFolder) -> bool:
    owner = folder.owner
    return owner is not None and owner.job != ""


def test_a_full_queue_is_waited_for(cluster: Cluster) -> None:
    cluster.refusals = ["Batch job submission failed: Job violates: QOSMaxSubmitJobPerUserLimit"]
    report, said = cluster.run(wait=False)
    assert len(report.left) == 5
    assert "the queue is full" in said


def test_a_cancelled_sweep_submits_nothing_more(cluster: Cluster) -> None:
    report, _ = cluster.run(purpose="no-such-sweep")
    assert report.exit_code == 143
    assert cluster.states == {}


def test_a_job_that_was_put_back_starts_again_seconds_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at once: a node refuses for a second what it was told to end. Seen on a real cluster."""
    clock = [1000.0]
    monkeypatch.setattr(tracked_job.time, "monotonic", lambda: clock[0])
    stage = next(iter(make_graph([make_row()]).stages.values()))
    nowhere = Path("nowhere")
    one = tracked_job.TrackedJob(stage=stage, folder=StageFolder(nowhere), tail=Tail(nowhere), job="7")

    def asked(restarts: int, state: JobState = JobState.PENDING, reason: str = "BeginTime") -> bool:
        clock[0] += 3.0
        return one.may_start_again(Job("7", "", state, "", reason, "", restarts, None, None))

    assert [asked(1), asked(1), asked(1)] == [False, False, True]
    assert [asked(2), asked(2), asked(2)] == [False, False, True]
    assert not asked(2, JobState.RUNNING)
    assert not asked(2, reason="Priority")
    assert [asked(0), asked(0), asked(0)] == [False, False, False]
