import os
import re
import signal
import time
from pathlib import Path

import pytest
from fake_stages import Executor, FakeStages
from plan_factories import finish, make_graph, make_manifest, make_row

from mvcgc.errors import UserError
from mvcgc.launch.local import processes
from mvcgc.method.init_only import InitOnly
from mvcgc.plan import Graph, Resources, State, stage_state
from mvcgc.runs.journal import Status, read
from mvcgc.stages.spec import Runtime


@pytest.fixture
def fakes(tmp_path: Path) -> FakeStages:
    fakes = FakeStages(tmp_path)
    fakes.behave()
    return fakes


def wait_for(condition: object, what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def of(graph: Graph, name: str, row: int = 0) -> str:
    return graph.rows[row].stages[name].id


def test_runs_a_row_in_order_and_only_once(fakes: FakeStages) -> None:
    graph = make_graph([make_row()])
    report, said = fakes.run(graph)
    assert report.exit_code == 0
    assert report.done == report.ran == set(graph.stages)
    order = fakes.started()
    assert sorted(order[:2]) == ["init/mv", "init/rgb"]
    assert order[2] == "cross"
    assert sorted(order[3:]) == ["linear/tiny", "retrieve/tiny"]
    ends = {event["stage"]: event["time"] for event in fakes.events("end")}
    starts = {event["stage"]: event["time"] for event in fakes.events("start")}
    assert max(ends["init/rgb"], ends["init/mv"]) < starts["cross"]
    assert fakes.locks() == []
    assert "init/rgb starts (1 core)" in said
    assert re.search(r"\[5/5\] (linear|retrieve)/tiny done in \d+ s: loss 0.5\n$", said)
    again, said = fakes.run(graph)
    assert (again.exit_code, again.ran, said) == (0, set(), "")
    assert len(fakes.started()) == 5


def test_keeps_within_the_cores_and_uses_them(fakes: FakeStages) -> None:
    fakes.behave(any={"seconds": 0.4})
    resources = Resources(cross=Runtime(cpus=2))
    graph = make_graph([make_row(method__k=k, resources=resources, init__lr=k / 100) for k in (1, 2)])
    report, _ = fakes.run(graph, cores=2)
    assert report.exit_code == 0
    events = sorted(fakes.events(), key=lambda event: float(event["time"]))
    busy, most = 0, 0
    for event in events:
        cores = int(event["threads"])
        assert cores == (2 if event["stage"] == "cross" else 1)
        busy += cores if event["what"] == "start" else -cores
        most = max(most, busy)
    assert most == 2


def test_a_stage_larger_than_the_machine_runs_alone(fakes: FakeStages) -> None:
    fakes.behave(any={"seconds": 0.2})
    resources = Resources(init=Runtime(cpus=8))
    report, _ = fakes.run(make_graph([make_row(resources=resources)]), cores=2)
    assert report.exit_code == 0
    first, second = (event for event in fakes.events("start") if event["stage"].startswith("init"))
    assert second["time"] - first["time"] > 0.2


def test_gives_each_stage_its_own_gpus(fakes: FakeStages) -> None:
    fakes.behave(any={"seconds": 0.3})
    resources = Resources(cross=Runtime(ranks=2, gpus=1))
    graph = make_graph([make_row(resources=resources)])
    report, said = fakes.run(graph, gpus=("4", "7"))
    assert report.exit_code == 0
    gpus = {event["stage"]: event["gpus"] for event in fakes.events("start")}
    assert {gpus["init/rgb"], gpus["init/mv"]} == {"4", "7"}, "device auto takes a GPU where there is one"
    assert sorted(gpus["cross"].split(",")) == ["4", "7"]
    assert [event["world"] for event in fakes.events("start") if event["stage"] == "cross"] == ["2", "2"]
    assert "cross starts (2 ranks on 2 cores, GPU " in said


def test_refuses_gpus_that_are_not_there(fakes: FakeStages) -> None:
    graph = make_graph([make_row(resources=Resources(cross=Runtime(ranks=2, gpus=1)))])
    with pytest.raises(UserError, match=r"stage cross asks for 2 GPUs and this machine has 1"):
        fakes.run(graph, gpus=("0",))
    assert fakes.started() == []


def test_a_failure_blocks_only_what_builds_on_it(fakes: FakeStages) -> None:
    fakes.behave(init_mv={"exit": 1, "reason": "NaN at step 3"})
    graph = make_graph([make_row(), make_row("rgb", views=["rgb"], method=InitOnly.Config(queue=16))])
    report, said = fakes.run(graph)
    assert report.exit_code == 1
    assert set(report.failed) == {of(graph, "init/mv")}
    assert report.failed[of(graph, "init/mv")].reason == "NaN at step 3"
    assert set(report.blocked) == {of(graph, name) for name in ("cross", "linear/tiny", "retrieve/tiny")}
    assert {stage.id for stage in graph.rows[1].stages.values()} <= report.done
    log = graph.rows[0].stages["init/mv"].folder(fakes.root).log(1, 0)
    assert f"init/mv FAILED: NaN at step 3 (log: {log})" in said
    assert log.read_text() == "init/mv rank 0: here I am\ninit/mv went wrong\n"
    assert "1 failed, 3 blocked by that: the same command runs just these again" in said
    fakes.behave()
    before = len(fakes.started())
    report, _ = fakes.run(graph)
    assert report.exit_code == 0
    assert fakes.started()[before:] == ["init/mv", "cross", *fakes.started()[before + 2 :]]
    assert len(fakes.started()) == before + 4


def test_done_means_done_whatever_the_exit_code(fakes: FakeStages) -> None:
    fakes.behave(init_rgb={"exit": 1, "done": True}, init_mv={"exit": 0, "done": False})
    graph = make_graph([make_row()])
    report, _ = fakes.run(graph)
    assert of(graph, "init/rgb") in report.done
    assert report.failed[of(graph, "init/mv")].reason == "its ranks ended well, but it has no valid DONE.json"


def test_a_failure_without_words_is_told_by_the_log(fakes: FakeStages) -> None:
    fakes.behave(init_mv={"exit": 1})
    graph = make_graph([make_row()])
    report, _ = fakes.run(graph)
    reason = "rank 0 exited with code 1: init/mv went wrong"
    assert report.failed[of(graph, "init/mv")].reason == reason
    found = stage_state(graph.rows[0].stages["init/mv"].folder(fakes.root))
    assert (found.state, found.detail) == (State.FAILED, reason)


def test_a_dead_rank_takes_the_others_with_it(fakes: FakeStages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LAST_WORDS_S", 0.3)
    fakes.behave(cross={"kill": True, "ranks": [1]})
    graph = make_graph([make_row(resources=Resources(cross=Runtime(ranks=2)))])
    started = time.monotonic()
    report, _ = fakes.run(graph)
    assert time.monotonic() - started < 30
    failure = report.failed[of(graph, "cross")]
    assert failure.reason == "rank 1 was killed by SIGKILL, perhaps for want of memory"
    folder = graph.rows[0].stages["cross"].folder(fakes.root)
    assert failure.log == folder.log(1, 1)
    assert read(folder.journal).progress.status is Status.FAILED
    pids = [event["pid"] for event in fakes.events("start") if event["stage"] == "cross"]
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)
    assert fakes.locks() == []


def test_an_interrupted_stage_is_taken_up_again(fakes: FakeStages) -> None:
    fakes.behave(init_rgb={"exit": 3, "once": True})
    graph = make_graph([make_row()])
    report, said = fakes.run(graph)
    assert report.exit_code == 0
    attempts = [event["attempt"] for event in fakes.events("start") if event["stage"] == "init/rgb"]
    assert attempts == [1, 2]
    assert "init/rgb starts from step 7 (1 core, attempt 2)" in said


def test_an_ever_interrupted_stage_fails_in_the_end(
    fakes: FakeStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mvcgc.launch.local.execute.MAX_RESUMES", 2)
    fakes.behave(init_rgb={"exit": 3})
    graph = make_graph([make_row()])
    report, _ = fakes.run(graph)
    assert report.failed[of(graph, "init/rgb")].reason == "it was interrupted again and again"
    assert fakes.started().count("init/rgb") == 3


def test_a_damaged_parent_is_made_again(fakes: FakeStages) -> None:
    graph = make_graph([make_row()])
    stages = graph.rows[0].stages
    for name in ("init/rgb", "init/mv"):
        finish(stages[name], fakes.root)
    (stages["init/mv"].folder(fakes.root).path / "encoder.pt").write_bytes(b"weightz")  # of the same size
    report, said = fakes.run(graph)
    assert report.exit_code == 0
    assert fakes.started()[:2] == ["init/mv", "cross"]
    assert "init/mv is damaged and will run again" in said


def test_what_is_not_needed_does_not_run(fakes: FakeStages) -> None:
    graph = make_graph([make_row()])
    for name in ("linear/tiny", "retrieve/tiny"):
        finish(graph.rows[0].stages[name], fakes.root)
    report, _ = fakes.run(graph)
    assert (report.exit_code, fakes.started()) == (0, [])


def test_an_unscanned_dataset_cannot_be_run(fakes: FakeStages) -> None:
    with pytest.raises(AssertionError, match="tiny has not been scanned"):
        fakes.run(make_graph([make_row()], tiny=None))


def test_nothing_is_left_behind_when_the_executor_itself_fails(
    fakes: FakeStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.behave(any={"seconds": 60})

    def explode(*_: object) -> None:
        if fakes.started() and len(fakes.started()) == 2:
            raise ZeroDivisionError

    monkeypatch.setattr("mvcgc.launch.display.LineDisplay.overall", explode)
    with pytest.raises(ZeroDivisionError):
        fakes.run(make_graph([make_row()]))
    assert not any(alive(event["pid"]) for event in fakes.events("start"))
    assert fakes.locks() == []


class TestStopping:
    def test_ctrl_c_saves_and_the_same_command_goes_on(self, fakes: FakeStages) -> None:
        fakes.behave(init_rgb={"seconds": 60}, init_mv={"seconds": 60})
        executor = Executor(fakes, ks=[5])
        wait_for(lambda: len(fakes.started()) == 2, "both initialisations start")
        executor.send(signal.SIGINT)
        assert executor.wait() == 130
        assert "waiting for checkpoints" in executor.said
        assert "stopped; the same command goes on from here" in executor.said
        assert {event["stage"] for event in fakes.events("stopped")} == {"init/rgb", "init/mv"}
        assert fakes.locks() == []
        fakes.behave()
        graph = make_graph([make_row()])
        report, said = fakes.run(graph)
        assert report.exit_code == 0
        assert "init/rgb starts from step 7" in said

    def test_a_second_ctrl_c_kills(self, fakes: FakeStages) -> None:
        fakes.behave(any={"seconds": 60, "stubborn": True})
        executor = Executor(fakes, ks=[5])
        wait_for(lambda: len(fakes.started()) == 2, "both initialisations start")
        executor.send(signal.SIGTERM)
        wait_for(lambda: "waiting for checkpoints" in executor.said, "the first signal is taken")
        assert executor.running
        executor.send(signal.SIGTERM)
        assert executor.wait() == 128 + signal.SIGTERM
        assert not any(alive(event["pid"]) for event in fakes.events("start"))
        assert fakes.locks() == []
        stage = make_graph([make_row()]).rows[0].stages["init/rgb"]
        assert read(stage.folder(fakes.root).journal).progress.status is Status.INTERRUPTED

    def test_a_killed_executor_takes_its_ranks_along_and_its_locks_can_be_had(
        self, fakes: FakeStages
    ) -> None:
        fakes.behave(any={"seconds": 60})
        executor = Executor(fakes, ks=[5])
        wait_for(lambda: len(fakes.started()) == 2, "both initialisations start")
        executor.send(signal.SIGKILL)
        executor.wait()
        wait_for(lambda: len(fakes.events("stopped")) == 2, "the ranks see that they are alone")
        fakes.behave()
        report, said = fakes.run(make_graph([make_row()]))
        assert report.exit_code == 0
        assert "init/rgb starts from step 7 (1 core, attempt 2)" in said


class TestTwoExecutors:
    def test_share_every_stage_exactly_once(self, fakes: FakeStages) -> None:
        fakes.behave(any={"seconds": 0.3})
        executors = [Executor(fakes, ks=ks) for ks in ([1, 5], [5, 10])]
        assert [executor.wait() for executor in executors] == [0, 0]
        ids = [event["id"] for event in fakes.events("start")]
        assert len(ids) == len(set(ids)) == 2 + 3 * 3
        assert fakes.locks() == []

    def test_a_failure_is_not_tried_twice(self, fakes: FakeStages) -> None:
        fakes.behave(init_rgb={"seconds": 2.5, "exit": 1, "reason": "NaN at step 3"})
        first = Executor(fakes, ks=[5])
        wait_for(lambda: "init/rgb" in fakes.started(), "the first starts")
        graph = make_graph([make_row()])
        report, said = fakes.run(graph)
        assert first.wait() == report.exit_code == 1
        assert report.failed[of(graph, "init/rgb")].reason == "NaN at step 3"
        assert fakes.started().count("init/rgb") == 1
        assert "init/rgb is awaited: run by process" in said
        assert "for other" in said

    def test_what_one_gives_up_the_other_takes_up(self, fakes: FakeStages) -> None:
        fakes.behave(init_rgb={"seconds": 60, "once": True})
        first = Executor(fakes, ks=[5])
        wait_for(lambda: "init/rgb" in fakes.started(), "the first starts")
        second = Executor(fakes, ks=[5])
        wait_for(lambda: "init/rgb is awaited" in second.said, "the second waits")
        first.send(signal.SIGINT)
        assert (first.wait(), second.wait()) == (130, 0)
        assert "init/rgb was given up by who ran it" in second.said
        assert "init/rgb starts from step 7" in second.said


def test_ranks_do_not_inherit_the_terminals_ctrl_c(fakes: FakeStages) -> None:
    fakes.behave(any={"seconds": 0.5})
    executor = Executor(fakes, ks=[5])
    wait_for(lambda: len(fakes.started()) == 2, "both initialisations start")
    groups = {os.getpgid(event["pid"]) for event in fakes.events("start")}
    assert os.getpgid(executor.pid) not in groups
    assert len(groups) == 2
    assert executor.wait() == 0


def test_of_an_unlabelled_dataset_only_the_pretraining_runs(fakes: FakeStages) -> None:
    graph = make_graph([make_row()], tiny=make_manifest(classes=0))
    report, _ = fakes.run(graph)
    assert report.exit_code == 0
    assert fakes.started()[2:] == ["cross"]
