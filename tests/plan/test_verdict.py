from pathlib import Path

import pytest
from plan_factories import checkpoint, finish, make_graph, make_row

from mvcgc.method.cmc import CMC
from mvcgc.plan import Action, Graph, Stage, State, Verdict, judge, newest_checkpoint, stage_state
from mvcgc.runs.journal import JournalWriter, Status


@pytest.fixture
def graph() -> Graph:
    return make_graph([make_row()])


@pytest.fixture
def stage(graph: Graph) -> Stage:
    return graph.rows[0].stages["cross"]


def verdicts(graph: Graph, root: Path) -> dict[str, Verdict]:
    judged = judge(graph, root)
    return {name: judged[stage.id] for name, stage in graph.rows[0].stages.items()}


def actions(graph: Graph, root: Path) -> dict[str, str]:
    return {name: verdict.action.value for name, verdict in verdicts(graph, root).items()}


def attempt(
    stage: Stage, root: Path, number: int = 1, *, steps: int = 0, end: Status | None = None, reason: str = ""
) -> None:
    with JournalWriter(stage.folder(root).journal, number) as journal:
        journal.begin(100, "step")
        if steps:
            journal.metrics(steps, {"loss": 1.0})
        if end is not None:
            journal.end(end, reason)


class TestState:
    def test_missing(self, stage: Stage, tmp_path: Path) -> None:
        assert stage_state(stage.folder(tmp_path)).state is State.MISSING
        stage.folder(tmp_path).path.mkdir(parents=True)
        assert stage_state(stage.folder(tmp_path)).state is State.MISSING

    def test_finished(self, stage: Stage, tmp_path: Path) -> None:
        finish(stage, tmp_path, loss=0.5)
        found = stage_state(stage.folder(tmp_path))
        assert found.state is State.FINISHED
        assert found.done is not None
        assert found.done.metrics == {"loss": 0.5}

    def test_running_while_its_lock_is_held(self, stage: Stage, tmp_path: Path) -> None:
        attempt(stage, tmp_path, steps=40)
        assert stage.folder(tmp_path).try_lock("sweep-1")
        found = stage_state(stage.folder(tmp_path))
        assert (found.state, found.progress.step) == (State.RUNNING, 40)
        assert "for sweep-1" in found.detail
        stage.folder(tmp_path).release()
        assert stage_state(stage.folder(tmp_path)).state is State.INTERRUPTED

    def test_interrupted(self, stage: Stage, tmp_path: Path) -> None:
        attempt(stage, tmp_path, steps=40)
        found = stage_state(stage.folder(tmp_path))
        assert (found.state, found.checkpoint) == (State.INTERRUPTED, None)
        assert found.detail == "at step 40 of 100, has no checkpoint"
        checkpoint(stage, tmp_path, 30)
        checkpoint(stage, tmp_path, 8, part="rgb")
        (stage.folder(tmp_path).checkpoint / ".new-00000090").mkdir()
        found = stage_state(stage.folder(tmp_path))
        assert found.checkpoint == newest_checkpoint(stage.folder(tmp_path)) == 30
        assert found.detail == "at step 40 of 100, goes on from step 30"

    def test_failed_and_then_taken_up_again(self, stage: Stage, tmp_path: Path) -> None:
        attempt(stage, tmp_path, end=Status.FAILED, reason="out of memory")
        found = stage_state(stage.folder(tmp_path))
        assert (found.state, found.detail) == (State.FAILED, "out of memory")
        attempt(stage, tmp_path, 2)
        assert stage_state(stage.folder(tmp_path)).state is State.INTERRUPTED

    def test_failed_before_it_began(self, stage: Stage, tmp_path: Path) -> None:
        attempt(stage, tmp_path, steps=40)
        with JournalWriter(stage.folder(tmp_path).journal, 2) as journal:
            journal.end(Status.FAILED, "rank 0 was killed")
        found = stage_state(stage.folder(tmp_path))
        assert (found.state, found.detail) == (State.FAILED, "rank 0 was killed")

    def test_damaged(self, stage: Stage, tmp_path: Path) -> None:
        finish(stage, tmp_path)
        (stage.folder(tmp_path).path / "encoder.pt").unlink()
        found = stage_state(stage.folder(tmp_path))
        assert found.state is State.DAMAGED
        assert "encoder.pt is missing" in found.detail


class TestVerdicts:
    def test_all_new(self, graph: Graph, tmp_path: Path) -> None:
        assert {name: (v.action, v.reason) for name, v in verdicts(graph, tmp_path).items()} == {
            "init/rgb": (Action.SUBMIT, "new"),
            "init/mv": (Action.SUBMIT, "new"),
            "cross": (Action.SUBMIT, "new, after init/rgb and init/mv"),
            "linear/tiny": (Action.SUBMIT, "new, after cross"),
            "retrieve/tiny": (Action.SUBMIT, "new, after cross"),
        }
        assert not list(tmp_path.iterdir()), "looking changes nothing"

    def test_what_is_finished_is_cached(self, graph: Graph, tmp_path: Path) -> None:
        finish(graph.rows[0].stages["init/rgb"], tmp_path, loss=0.25, acc_rgb=80.0)
        found = verdicts(graph, tmp_path)
        assert found["init/rgb"] == Verdict(Action.CACHED, "finished: acc_rgb 80, loss 0.25")
        assert found["cross"] == Verdict(Action.SUBMIT, "new, after init/mv")

    def test_what_another_runs_is_attached(self, graph: Graph, tmp_path: Path) -> None:
        folder = graph.rows[0].stages["init/mv"].folder(tmp_path)
        assert folder.try_lock("sweep-1")
        found = verdicts(graph, tmp_path)["init/mv"]
        assert found.action is Action.ATTACHED
        assert found.reason.startswith("run by process ")
        folder.release()

    def test_reasons_to_run_again(self, graph: Graph, tmp_path: Path) -> None:
        stages = graph.rows[0].stages
        attempt(stages["init/rgb"], tmp_path, steps=40)
        attempt(stages["init/mv"], tmp_path, end=Status.FAILED, reason="NaN at step 3")
        finish(stages["cross"], tmp_path)
        (stages["cross"].folder(tmp_path).path / "encoder.pt").write_bytes(b"")
        found = verdicts(graph, tmp_path)
        assert found["init/rgb"].reason == "interrupted at step 40 of 100, has no checkpoint"
        assert found["init/mv"].reason == "failed before: NaN at step 3"
        assert found["cross"].reason.startswith("damaged: ")
        assert {verdict.action for verdict in found.values()} == {Action.SUBMIT}

    def test_what_only_finished_stages_build_on_is_not_needed(self, graph: Graph, tmp_path: Path) -> None:
        stages = graph.rows[0].stages
        for name in ("linear/tiny", "retrieve/tiny"):
            finish(stages[name], tmp_path)
        expected = dict.fromkeys(("init/rgb", "init/mv", "cross"), "unneeded")
        assert actions(graph, tmp_path) == {**expected, "linear/tiny": "cached", "retrieve/tiny": "cached"}

    def test_what_one_of_two_rows_still_needs_is_needed(self, tmp_path: Path) -> None:
        graph = make_graph([make_row(), make_row(method=CMC.Config(queue=16))])
        for name in ("linear/tiny", "retrieve/tiny", "cross"):
            finish(graph.rows[0].stages[name], tmp_path)
        assert actions(graph, tmp_path)["init/rgb"] == "submit"

    def test_an_unscanned_dataset_has_nothing_cached(self, tmp_path: Path) -> None:
        graph = make_graph([make_row()], tiny=None)
        assert set(actions(graph, tmp_path).values()) == {"submit"}
