"""From stage folders to a real MLflow store, pass by pass, through crashes and changes of mind."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import mlflow_seen
import pytest
import yaml
from fake_sweep import FakeSweep, begin, metrics
from mlflow_seen import Seen, children, one, roots, seen

from mvcgc.collect import CollectError, TrackingConfig, collect
from mvcgc.collect.deliver import Collector
from mvcgc.collect.store import KnownRun, Store
from mvcgc.collect.view import RunView, Sample
from mvcgc.plan import PlotKind, PlotSpec
from mvcgc.runs.lock import Lock

MVCGC = "MVCGC (k=5), seed 0"


@pytest.fixture
def sweep(root: Path) -> FakeSweep:
    """Two rows with one seed that share their initialisation: one finished, one in the middle of cross."""
    sweep = FakeSweep(root, views=("rgb",), tasks=("retrieve",))
    sweep.complete(sweep.row("Init.", 0, cross=False), r1=27.0, top1=40.0)
    running = sweep.row("MVCGC (k=5)", 0)
    sweep.train(running.stages["cross"], range(1, 6))
    sweep.write()
    return sweep


@pytest.fixture
def uri(root: Path, tracking: TrackingConfig) -> str:
    """The address of the store."""
    return tracking.store_uri(root)


def cross(sweep: FakeSweep) -> str:
    """The stage that is running."""
    return sweep.rows[1].stages["cross"]


class TestView:
    def test_rows_are_roots_and_stages_their_children(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        runs = seen(uri)
        top = {uid: run.name for uid, run in runs.items() if run.parent is None}
        assert set(top.values()) == {"Init., seed 0", MVCGC, "table of ablation_loss"}
        below = sorted((top[run.parent], run.name) for run in runs.values() if run.parent)
        assert below == [
            ("Init., seed 0", "init/rgb"),
            ("Init., seed 0", "retrieve/demo"),
            (MVCGC, "cross"),
            (MVCGC, "init/rgb"),
        ]
        assert all(run.points == {} for run in runs.values() if run.parent)

    def test_a_row_names_itself_and_has_all_its_figures(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        row = one(uri, MVCGC)
        views = {"k": "5", "views": "rgb", "method": "mvcgc", "seed": "0", "scale": "demo"}
        assert row.params == views
        assert (row.tags["sweep"], row.tags["row"], row.tags["kind"]) == (
            "ablation_loss",
            "MVCGC (k=5)",
            "row",
        )
        assert row.tags["mlflow.source.git.commit"] == "0123456789abcdef0123456789abcdef01234567"
        assert yaml.safe_load(row.artifacts["config.yaml"])["cross"] == {"lr": 0.001, "epochs": 10}
        assert set(row.points) == {"init_rgb/loss", "cross/loss"}
        assert set(one(uri, "Init., seed 0").points) == {"init_rgb/loss", "retrieve_demo/r1_rgb"}

    def test_points_keep_the_journals_times(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        start = sweep.created_ms + 1000
        expected = [(step, start + 10 * step, 1.0 / step) for step in range(1, 6)]
        assert one(uri, MVCGC).points["cross/loss"] == expected
        single = one(uri, "Init., seed 0").points["retrieve_demo/r1_rgb"]
        assert single == [(0, sweep.created_ms + 10_000, 27.0)]

    def test_status_and_times(self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str) -> None:
        sweep.folder(cross(sweep)).try_lock("the tests")
        failing = sweep.row("CMC", 0)
        sweep.train(failing.stages["cross"], range(1, 3))
        sweep.end(failing.stages["cross"], "failed", "NotFinite: loss is nan")
        log = sweep.folder(failing.stages["cross"]).log(1, 0)
        log.parent.mkdir()
        log.write_text("Traceback, and so on")
        stopped = sweep.row("CoCLR", 0)
        sweep.train(stopped.stages["cross"], range(1, 3))
        sweep.row("InfoNCE", 0)
        sweep.write()
        collect(root, tracking)
        assert roots(uri) == {
            "Init., seed 0": "FINISHED",
            MVCGC: "RUNNING",
            "CMC, seed 0": "FAILED",
            "CoCLR, seed 0": "KILLED",
            "InfoNCE, seed 0": "SCHEDULED",
            "table of ablation_loss": "RUNNING",
        }
        assert one(uri, "Init., seed 0").end_ms == sweep.created_ms + 10_000
        assert one(uri, MVCGC).end_ms is None
        child = children(uri, "CMC, seed 0")["cross"]
        assert child.status == "FAILED"
        assert "NotFinite: loss is nan" in child.tags["mlflow.note.content"]
        assert child.artifacts["log.txt"] == b"Traceback, and so on"

    def test_tables_are_attached(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str, tmp_path: Path
    ) -> None:
        folder = tmp_path / "results" / "demo"
        folder.mkdir(parents=True)
        (folder / "ablation_loss.md").write_text("# Loss variants\n\n| a |\n\n## Fingerprints\n\n| b |\n")
        (folder / "ablation_loss.html").write_text("<p>table")
        collect(root, tracking, results=tmp_path / "results")
        run = one(uri, "table of ablation_loss")
        assert run.artifacts["table.html"] == b"<p>table"
        assert run.tags["mlflow.note.content"] == "# Loss variants\n\n| a |\n"
        (folder / "ablation_loss.html").write_text("<p>changed")
        collect(root, tracking, results=tmp_path / "results")
        assert one(uri, "table of ablation_loss").artifacts["table.html"] == b"<p>changed"

    def test_plots_that_the_sweep_asks_for_are_attached(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str, tmp_path: Path
    ) -> None:
        sweep.plots = [PlotSpec(PlotKind.curves, name="loss", stage="cross", y=["loss"])]
        sweep.suffix = "0001"
        sweep.write()
        folder = tmp_path / "results" / "demo"
        folder.mkdir(parents=True)
        for name in ("ablation_loss.loss.png", "ablation_loss.loss.svg", "ablation_loss.other.png"):
            (folder / name).write_bytes(name.encode())
        collect(root, tracking, results=tmp_path / "results")
        artifacts = one(uri, "table of ablation_loss").artifacts
        assert artifacts == {
            "loss.png": b"ablation_loss.loss.png",
            "loss.svg": b"ablation_loss.loss.svg",
        }

    def test_what_is_no_number_is_told_instead_of_drawn(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        sweep.journal(cross(sweep), [metrics(6, 2000, loss="nan", acc="inf"), metrics(7, 2010, loss=0.1)])
        collect(root, tracking)
        steps = [step for step, _, _ in one(uri, MVCGC).points["cross/loss"]]
        assert steps == [1, 2, 3, 4, 5, 7]
        assert "cross/acc" not in one(uri, MVCGC).points
        told = children(uri, MVCGC)["cross"].tags["not_finite"]
        assert told == "acc is inf at step 6; loss is nan at step 6"


class TestDelivery:
    def test_only_what_is_new_is_sent(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        assert collect(root, tracking).points > 0
        before = seen(uri)
        again = collect(root, tracking)
        assert (again.points, again.created, seen(uri)) == (0, 0, before)
        sweep.journal(cross(sweep), [metrics(6, 2000, loss=0.1, acc=50.0)])
        assert collect(root, tracking).points == 2
        assert len(one(uri, MVCGC).points["cross/loss"]) == 6

    def test_one_collector_follows_a_stage_to_its_end(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collector = Collector(root, tracking)
        collector.once()
        sweep.journal(cross(sweep), [metrics(6, 2000, loss=0.1)])
        sweep.end(cross(sweep), "done")
        sweep.finish(cross(sweep), loss=0.1, clips_per_s=12.0)
        assert collector.once().points == 2
        assert collector.once().points == 0
        child = children(uri, MVCGC)["cross"]
        assert (child.status, child.end_ms) == ("FINISHED", sweep.created_ms + 10_000)
        assert one(uri, MVCGC).points["cross/clips_per_s"] == [(0, sweep.created_ms + 10_000, 12.0)]

    @pytest.mark.parametrize("batch", [1, 3])
    def test_killed_between_sending_and_noting_it(
        self, sweep: FakeSweep, tracking: TrackingConfig, batch: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root, uri = sweep.root, tracking.store_uri(sweep.root)
        monkeypatch.setattr("mvcgc.collect.transfer.BATCH", batch)
        sent = []

        def send_and_die(store: Store, run_id: str, samples: Sequence[Sample]) -> None:
            send(store, run_id, samples)
            sent.extend(samples)
            if len(sent) > 4:
                raise KeyboardInterrupt

        send = Store.send
        with monkeypatch.context() as patch:
            patch.setattr(Store, "send", send_and_die)
            with pytest.raises(KeyboardInterrupt):
                collect(root, tracking)
        assert collect(root, tracking).points > 0
        assert [step for step, _, _ in one(uri, MVCGC).points["cross/loss"]] == [1, 2, 3, 4, 5]
        assert collect(root, tracking).points == 0

    def test_lost_cursors_cost_only_time(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        before = seen(uri)
        shutil.rmtree(root / "collect")
        again = collect(root, tracking)
        assert again.points > 0
        assert again.created == 0
        assert seen(uri) == before

    def test_a_damaged_cursor_file_is_a_lost_one(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        before = seen(uri)
        for path in (root / "collect").rglob("*.json"):
            path.write_text('{"cut off')
        collect(root, tracking)
        assert seen(uri) == before

    def test_a_run_whose_creation_got_no_answer_is_found_again(
        self,
        sweep: FakeSweep,
        root: Path,
        tracking: TrackingConfig,
        uri: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def create_without_answer(store: Store, view: RunView, parent: str | None) -> KnownRun:
            create(store, view, parent)
            raise CollectError("the reply is lost")

        create = Store.create
        collector = Collector(root, tracking)
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr(Store, "create", create_without_answer)
                with pytest.raises(CollectError, match="the reply is lost"):
                    collector.once()
        collector.once()
        assert len(seen(uri)) == 7

    def test_twins_become_one(
        self,
        sweep: FakeSweep,
        root: Path,
        tracking: TrackingConfig,
        uri: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def create_twice(store: Store, view: RunView, parent: str | None) -> KnownRun:
            create(store, view, parent)
            return create(store, view, parent)

        create = Store.create
        with monkeypatch.context() as patch:
            patch.setattr(Store, "create", create_twice)
            collect(root, tracking)
        collect(root, tracking)
        assert set(children(uri, MVCGC)) == {"init/rgb", "cross"}
        assert len(one(uri, MVCGC).points["cross/loss"]) == 5


class TestTakenBack:
    def resumed(self, sweep: FakeSweep) -> None:
        """The first attempt is sent up to step 5; the second goes on from step 3."""
        sweep.train(cross(sweep), range(4, 8), attempt=2, at_ms=5000, scale=2.0)

    def test_mlflow_shows_what_the_journal_says(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        self.resumed(sweep)
        assert collect(root, tracking).remade == 1
        curve = one(uri, MVCGC).points["cross/loss"]
        values = [(step, value) for step, _, value in curve]
        assert values == [(s, 1.0 / s) for s in (1, 2, 3)] + [(s, 2.0 / s) for s in (4, 5, 6, 7)]
        assert set(children(uri, MVCGC)) == {"init/rgb", "cross"}
        assert collect(root, tracking).remade == 0

    def test_an_attempt_that_starts_afresh_takes_back_all(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collector = Collector(root, tracking)
        collector.once()
        sweep.journal(cross(sweep), [begin(2, ts_ms=5000)], attempt=2)
        assert collector.once().remade == 0
        sweep.journal(cross(sweep), [metrics(1, 5010, loss=9.0)], attempt=2)
        assert collector.once().remade == 1
        assert one(uri, MVCGC).points["cross/loss"] == [(1, sweep.created_ms + 5010, 9.0)]

    def test_a_resumption_that_repeats_nothing_is_no_reason(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        sweep.train(cross(sweep), range(6, 8), attempt=2, at_ms=5000)
        assert collect(root, tracking).remade == 0
        assert [step for step, _, _ in one(uri, MVCGC).points["cross/loss"]] == list(range(1, 8))


class TestRebuild:
    def test_gives_the_same_view(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        sweep.train(cross(sweep), range(4, 8), attempt=2, at_ms=5000, scale=2.0)
        collect(root, tracking)
        sweep.end(cross(sweep), "failed", "no more", attempt=2)
        collect(root, tracking)
        before = seen(uri)
        assert collect(root, tracking, rebuild=True).created == len(before)
        after = seen(uri)
        assert after == before
        ids = {run.run_id for run in before.values()} & {run.run_id for run in after.values()}
        assert ids == set()
        assert collect(root, tracking).points == 0

    def test_brings_back_what_a_person_deleted_and_nothing_else_does(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        mlflow_seen.client(uri).delete_run(one(uri, MVCGC).run_id)
        sweep.journal(cross(sweep), [metrics(6, 2000, loss=0.1)])
        collect(root, tracking)
        assert MVCGC not in roots(uri)
        collect(root, tracking, rebuild=True)
        assert len(one(uri, MVCGC).points["cross/loss"]) == 6

    def test_leaves_the_runs_of_others_alone(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str, tmp_path: Path
    ) -> None:
        other = FakeSweep(tmp_path / "other")
        other.row("Init.", 0)
        other.write()
        shared = TrackingConfig(uri=uri)
        collect(other.root, shared)
        theirs = seen(uri)
        collect(root, tracking)
        collect(root, tracking, rebuild=True)
        assert {uid: run for uid, run in seen(uri).items() if uid in theirs} == theirs


class TestSweeps:
    def test_a_repetition_is_the_same_run(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        before = one(uri, MVCGC)
        again = FakeSweep(root, rows=sweep.rows, stages=sweep.stages, suffix="1111")
        again.created_ms += 60_000
        again.write()
        assert collect(root, tracking).created == 0
        after = one(uri, MVCGC)
        assert after.tags["sweep_id"].endswith("1111")
        assert (after.run_id, after.start_ms) == (before.run_id, before.start_ms)

    def test_a_parameter_that_changed_becomes_a_tag(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        collect(root, tracking)
        sweep.rows[1].params.update({"k": 6, "extra": True})
        FakeSweep(root, rows=sweep.rows, stages=sweep.stages, suffix="1111").write()
        collect(root, tracking)
        run = one(uri, MVCGC)
        assert (run.params["k"], run.tags["k"], run.params["extra"]) == ("5", "6", "true")

    def test_names_that_mlflow_does_not_take(self, root: Path, tracking: TrackingConfig, uri: str) -> None:
        sweep = FakeSweep(root, name="weird & wonderful", views=("rgb",), tasks=("retrieve",))
        row = sweep.row("Ümläut % ' \" <b>", 0)
        row.params.update({"a/../b(c)": "x" * 7000})
        sweep.journal(row.stages["cross"], [begin(), metrics(1, 10, **{"r@1 (rgb)/both": 3.0})])
        sweep.write()
        collect(root, tracking)
        run = one(uri, "Ümläut % ' \" <b>, seed 0")
        assert set(run.points) == {"cross/r_1 _rgb__both"}
        long = next(value for value in run.params.values() if len(value) > 100)
        assert len(long) == 6000

    def test_one_bad_record_hides_no_other(
        self, sweep: FakeSweep, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        (root / "sweeps" / "old-20200101T000000-0000.json").write_text(json.dumps({"format": 0}))
        done = collect(root, tracking)
        assert MVCGC in roots(uri)
        assert len(done.warnings) == 1
        assert "old-20200101T000000-0000.json" in done.warnings[0]

    def test_mlflow_lists_the_first_seed_of_all_rows_first(
        self, root: Path, tracking: TrackingConfig, uri: str
    ) -> None:
        sweep = FakeSweep(root)
        for name in ("Init.", "CMC"):
            for seed in (0, 1):
                sweep.row(name, seed)
        sweep.write()
        collect(root, tracking)
        newest_first = mlflow_seen.client(uri).search_runs(["1"], order_by=["start_time DESC"])
        assert [run.info.run_name for run in newest_first] == [
            "table of ablation_loss",
            "Init., seed 0",
            "CMC, seed 0",
            "Init., seed 1",
            "CMC, seed 1",
        ]

    def test_nothing_to_collect(self, root: Path, tracking: TrackingConfig) -> None:
        assert collect(root, tracking).created == 0


class TestErrors:
    def test_another_process_collects(self, sweep: FakeSweep, root: Path, tracking: TrackingConfig) -> None:
        collect(root, tracking)
        folder = next(path for path in (root / "collect").iterdir() if path.is_dir())
        lock = Lock(folder / "lock")
        assert lock.try_acquire("the tests")
        with pytest.raises(CollectError, match="for the tests collects already"):
            collect(root, tracking)
        lock.release()
        collect(root, tracking)

    def test_a_store_that_is_none(self, sweep: FakeSweep, root: Path, tracking: TrackingConfig) -> None:
        (root / "mlflow.db").write_bytes(b"no database" * 1000)
        with pytest.raises(CollectError) as caught:
            collect(root, tracking)
        assert "file is not a database" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_store_that_cannot_be_made(self, sweep: FakeSweep, root: Path) -> None:
        (root / "file").write_text("")
        with pytest.raises(CollectError, match="cannot open"):
            collect(root, TrackingConfig(uri=f"sqlite:///{root}/file/mlflow.db"))


def test_runs_are_compared_by_all_that_is_seen() -> None:
    """The comparisons above could not fail if `Seen` left something out."""
    names = {name for name, field in Seen.__dataclass_fields__.items() if field.compare}
    assert names == {
        "name",
        "parent",
        "status",
        "start_ms",
        "end_ms",
        "params",
        "tags",
        "points",
        "artifacts",
    }
