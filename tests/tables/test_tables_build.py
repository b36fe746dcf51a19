"""From records and DONE.json to facts."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import table_factories
from fake_sweep import FakeSweep
from plan_factories import make_graph, make_row

from mvcgc.errors import UserError
from mvcgc.metrics import bootstrap_intervals
from mvcgc.plan import Column, Origin, State, TableSpec, record_of
from mvcgc.stages.evaluate.kinds import Linear
from mvcgc.tables import Line, Note, Table, table_of, text

ORIGIN = Origin("made", "Made", "demo", ["python", "-m", "mvcgc.run"], None, False, "0.1.0")


def line_of(table: Table, name: str) -> Line:
    """The row of that name."""
    return next(line for line in table.lines if line.name == name)


@pytest.fixture
def sweep(tmp_path: Path) -> FakeSweep:
    """A sweep without any row."""
    return FakeSweep(tmp_path)


def own_notes(table: Table) -> list[Note]:
    """Return the notes but for that on a figure of the paper."""
    return [note for note in table.notes if "CoCLR's authors corrected it" not in note.text]


class TestStatistics:
    def test_mean_and_sample_deviation(self, tmp_path: Path) -> None:
        table = table_of(tmp_path, table_factories.make(tmp_path).record)
        for name, (r1, _) in table_factories.FIGURES.items():
            values = [value for value in r1 if value is not None]
            cell = line_of(table, name).cells[0]
            assert cell.mean == pytest.approx(np.mean(values))
            assert cell.deviation == pytest.approx(np.std(values, ddof=1))

    def test_difference_is_paired_by_seed_and_video(self, tmp_path: Path) -> None:
        table = table_of(tmp_path, table_factories.make(tmp_path).record)
        for column in range(2):
            ours, base = (table_factories.FIGURES[name][column] for name in ("MVCGC (k=5)", "Init."))
            difference = line_of(table, "MVCGC (k=5)").cells[column].difference
            assert difference is not None
            assert difference.mean == pytest.approx(np.subtract(ours, base).mean())
            hits = [
                [table_factories.hits_of(share, seed).astype(np.int8) for seed, share in enumerate(shares)]
                for shares in (ours, base)
            ]
            interval = bootstrap_intervals([np.subtract(*hits)])[0]
            assert (difference.low, difference.high) == pytest.approx(interval)
            assert difference.low < difference.mean < difference.high
            assert difference.pairs == 3

    def test_difference_takes_the_seeds_that_both_have(self, tmp_path: Path) -> None:
        table = table_of(tmp_path, table_factories.make(tmp_path).record)
        difference = line_of(table, "MVCGC (k=5, union)").cells[0].difference
        assert difference is not None
        assert difference.pairs == 2
        assert difference.mean == pytest.approx(((19.0 - 27.0) + (20.5 - 28.0)) / 2)

    def test_one_seed_has_an_interval_over_videos(self, sweep: FakeSweep) -> None:
        for name, value in (("Init.", 20.0), ("CMC", 25.0)):
            row = sweep.row(name, 7)
            sweep.complete(row, r1=value, top1=value)
            table_factories.leave_ranks(sweep.folder(row.stages["retrieve/demo"]), value, 0)
        table = table_of(sweep.root, sweep.record)
        cell = line_of(table, "CMC").cells[0]
        assert cell.deviation is None
        assert cell.difference is not None
        assert cell.difference.mean == 5.0
        assert cell.difference.low is not None
        assert 0.0 < cell.difference.low < 5.0
        assert "from a bootstrap over test videos, of one seed: it does not cover other seeds" in text.legend(
            table
        )

    def test_without_outcomes_there_is_no_interval_and_a_note(self, sweep: FakeSweep) -> None:
        for name in ("Init.", "CMC"):
            sweep.complete(sweep.row(name, 7), r1=20.0, top1=20.0)
        sweep.columns.append(Column("cross", "loss", "Loss"))
        sweep.finish(sweep.rows[0].stages["cross"], loss=0.5)
        table = table_of(sweep.root, sweep.record)
        for cell in line_of(table, "CMC").cells:
            assert cell.difference is not None
            assert (cell.difference.mean, cell.difference.low, cell.difference.high) == (0.0, None, None)
        assert [note.text for note in own_notes(table)] == [
            "Differences without an interval, R@1 rgb, Linear rgb: some stages are of earlier code, "
            "which did not keep the outcome of each video.",
            "Differences without an interval, Loss: not a share of test videos.",
        ]

    def test_other_videos_cannot_be_paired(self, sweep: FakeSweep) -> None:
        for name in ("Init.", "CMC"):
            row = sweep.row(name, 7)
            sweep.complete(row, r1=20.0, top1=20.0)
            table_factories.leave_ranks(sweep.folder(row.stages["retrieve/demo"]), 20.0, 0)
        path = sweep.folder(sweep.rows[1].stages["retrieve/demo"]).path / "ranks.npz"
        arrays = dict(np.load(path))
        arrays["names"][0] = "other.avi"
        np.savez(path, **arrays)
        table = table_of(sweep.root, sweep.record)
        assert any(
            note.text.endswith("CMC was tested on other videos than Init., or some of their seeds were.")
            for note in table.notes
        )

    def test_videos_are_paired_by_name_whatever_their_order(self, sweep: FakeSweep) -> None:
        intervals = []
        for turned in (False, True):
            for name, share in (("Init.", 20.0), ("CMC", 30.0)):
                row = sweep.row(f"{name}", 7)
                sweep.complete(row, r1=share, top1=20.0)
                table_factories.leave_ranks(sweep.folder(row.stages["retrieve/demo"]), share, 0)
            if turned:
                path = sweep.folder(row.stages["retrieve/demo"]).path / "ranks.npz"
                np.savez(path, **{name: array[::-1] for name, array in np.load(path).items()})
            intervals.append(line_of(table_of(sweep.root, sweep.record), "CMC").cells[0].difference)
            sweep.rows.clear()
        assert intervals[0] is not None
        assert intervals[0] == intervals[1]

    def test_no_common_seed_no_difference(self, sweep: FakeSweep) -> None:
        for name, seed in (("Init.", 0), ("CMC", 1)):
            sweep.complete(sweep.row(name, seed), r1=20.0, top1=20.0)
        assert line_of(table_of(sweep.root, sweep.record), "CMC").cells[0].difference is None


class TestStates:
    def test_what_waits_stands_as_what_it_waits_for(self, tmp_path: Path) -> None:
        table = table_of(tmp_path, table_factories.make(tmp_path).record)

        def states(name: str) -> list[State]:
            return [trial.state for trial in line_of(table, name).cells[0].trials]

        assert states("MVCGC (k=5, union)") == [State.FINISHED, State.FAILED, State.FINISHED]
        assert states("CoCLR") == [State.RUNNING]
        assert states("MVCGC (k=5, w/o init)") == [State.INTERRUPTED]
        assert states(table_factories.AWKWARD) == [State.MISSING]

    def test_damaged(self, sweep: FakeSweep) -> None:
        row = sweep.row("Init.", 0, cross=False)
        sweep.complete(row, r1=20.0, top1=20.0)
        (sweep.folder(row.stages["retrieve/demo"]).path / "result.json").write_text("changed")
        table = table_of(sweep.root, sweep.record)
        trial = table.lines[0].cells[0].trials[0]
        assert (trial.state, trial.value) == (State.DAMAGED, None)
        assert any("retrieve/demo-" in note.text and "damaged" in note.text for note in table.notes)

    def test_a_figure_that_is_not_reported_or_no_stage_is_no_figure(self, sweep: FakeSweep) -> None:
        sweep.columns = [Column("retrieve/demo", "r99_rgb", "R@99"), Column("nowhere", "r1_rgb", "R@1")]
        sweep.complete(sweep.row("Init.", 0, cross=False), r1=20.0, top1=20.0)
        cells = table_of(sweep.root, sweep.record).lines[0].cells
        assert [cell.mean for cell in cells] == [None, None]
        assert cells[1].trials[0].fingerprint == ""

    def test_a_figure_that_is_not_finite_is_kept(self, sweep: FakeSweep) -> None:
        sweep.complete(sweep.row("Init.", 0, cross=False), r1=float("nan"), top1=20.0)
        mean = table_of(sweep.root, sweep.record).lines[0].cells[0].mean
        assert mean is not None
        assert np.isnan(mean)

    def test_failures_are_told_with_reason_and_rows(self, tmp_path: Path) -> None:
        table = table_of(tmp_path, table_factories.make(tmp_path).record)
        told = [note.text for note in table.notes if "NotFinite" in note.text]
        assert len(told) == 1
        assert "step 29" in told[0]
        assert "MVCGC (k=5, union), seed 1" in told[0]


class TestBest:
    def two_rows(self, sweep: FakeSweep, better: str = "higher", seeds: int = 2) -> list[bool]:
        """Return which of two rows, the second with higher figures, is marked."""
        sweep.columns = [Column("retrieve/demo", "r1_rgb", "R@1", better=better)]
        sweep.paper_table = None
        for name, value in (("Init.", 20.0), ("CMC", 25.0)):
            for seed in range(seeds):
                sweep.complete(sweep.row(name, seed), r1=value, top1=0.0)
        return [line.cells[0].best for line in table_of(sweep.root, sweep.record).lines]

    def test_higher(self, sweep: FakeSweep) -> None:
        assert self.two_rows(sweep) == [False, True]

    def test_lower(self, sweep: FakeSweep) -> None:
        assert self.two_rows(sweep, better="lower") == [True, False]

    def test_not_of_single_seeds(self, sweep: FakeSweep) -> None:
        assert self.two_rows(sweep, seeds=1) == [False, False]

    def test_not_while_a_row_runs(self, tmp_path: Path) -> None:
        table = table_of(tmp_path, table_factories.make(tmp_path).record)
        assert not any(cell.best for line in table.lines for cell in line.cells)

    def test_rows_without_a_figure_do_not_matter(self, sweep: FakeSweep) -> None:
        sweep.row("Never run", 0)
        assert self.two_rows(sweep) == [False, False, True]


class TestPaper:
    def test_figures_beside_ours_and_literature_below(self, tmp_path: Path) -> None:
        table = table_of(tmp_path, table_factories.make(tmp_path).record)
        assert [cell.paper for cell in line_of(table, "CoCLR").cells] == [53.8, 67.4]
        assert [cell.paper for cell in line_of(table, "CMC").cells] == [None, None]
        cited = [line.name for line in table.lines if line.literature]
        assert cited == ["CoCLR [RGB+OF]", "MVCGC", "MVCGC (k=1)", "MVCGC (k=10)", "MVCGC (k=20)"]
        assert [line.literature for line in table.lines] == sorted(line.literature for line in table.lines)
        assert line_of(table, "MVCGC").cells[0].trials == ()

    def test_unknown_row(self, sweep: FakeSweep) -> None:
        sweep.row("Init.", 0, paper="Initialisation")
        with pytest.raises(UserError, match=r"paper='Initialisation': table3\S+ has the rows Init\.; "):
            table_of(sweep.root, sweep.record)

    def test_unknown_baseline(self, sweep: FakeSweep) -> None:
        sweep.baseline = "Nothing"
        sweep.row("CMC", 0)
        with pytest.raises(UserError, match="baseline='Nothing': ablation_loss has the rows CMC"):
            table_of(sweep.root, sweep.record)


class TestMixtures:
    def test_nothing_to_say(self, sweep: FakeSweep) -> None:
        for name in ("Init.", "CMC"):
            sweep.row(name, 0)
        assert own_notes(table_of(sweep.root, sweep.record)) == []

    def test_another_scale(self, tmp_path: Path) -> None:
        table = table_of(tmp_path, table_factories.make(tmp_path).record)
        assert line_of(table, "MVCGC (k=5, union)").marks == ("a",)
        assert table.notes[0].mark == "a"
        assert table.notes[0].text == "cross.lr is 0.003; in other rows it is 0.001."

    def test_other_data_and_other_code(self, sweep: FakeSweep) -> None:
        for name in ("Init.", "CMC", "MVCGC"):
            sweep.row(name, 0, cross=False)
        sweep.digest, sweep.code_version = "e2" * 32, 2
        sweep.row("Other", 1, cross=False)
        table = table_of(sweep.root, sweep.record)
        texts = {note.mark: note.text for note in table.notes}
        assert line_of(table, "Other").marks == ("a",)
        told = texts["a"]
        assert "The digest of the data of init/rgb is e2e2e2e2e2e2; in other rows it is d1d1d1d1d1d1." in told
        assert "The code version of retrieve/demo is 2; in other rows it is 1." in told
        assert [line_of(table, name).marks for name in ("Init.", "CMC", "MVCGC")] == [(), (), ()]
        assert table.data == ("d1" * 32, "e2" * 32)

    def test_rows_that_deviate_alike_share_a_mark(self, sweep: FakeSweep) -> None:
        for name in ("Init.", "CMC", "MVCGC"):
            sweep.row(name, 0)
        for name in ("X", "Y"):
            sweep.row(name, 0, changes={"backbone": {"width": 0.5}, "cross": {"lr": 1.0, "epochs": 10}})
        table = table_of(sweep.root, sweep.record)
        assert line_of(table, "X").marks == line_of(table, "Y").marks == ("a",)

    @pytest.mark.parametrize(("key", "value"), [("tau", 0.5), ("queue", 8), ("momentum", 0.5), ("dim", 8)])
    def test_other_checkpoints_upstream(self, tmp_path: Path, key: str, value: float) -> None:
        usual = make_row("usual", method__k=1)
        rows = [usual, make_row("another k"), make_row("other", **{f"method__{key}": value})]
        graph = make_graph(rows)
        record = record_of(graph.rows, ORIGIN, TableSpec(columns=[Column("cross", "loss", "Loss")]))
        inits = [row.stages["init/rgb"] for row in record.rows]
        assert inits[0] == inits[1] != inits[2]
        table = table_of(tmp_path, record)
        assert [line.marks for line in table.lines] == [(), (), ("a",)]
        assert table.notes[0].text.startswith(f"method.{key} is ")

    @pytest.mark.parametrize(
        "change",
        [
            {"clip__size": 48},
            {"augment__flip": 0.25},
            {"backbone__width": 0.25},
            {"init__epochs": 9},
            {"cross__epochs": 9},
            {"downstream__linear": Linear.Config(epochs=10, batch_size=8, draws=9)},
        ],
    )
    def test_another_scale_of_an_experiment(self, tmp_path: Path, change: dict[str, Any]) -> None:
        graph = make_graph([make_row("a", method__k=1), make_row("b"), make_row("other", **change)])
        record = record_of(graph.rows, ORIGIN, TableSpec(columns=[Column("cross", "loss", "Loss")]))
        table = table_of(tmp_path, record)
        assert [line.marks for line in table.lines] == [(), (), ("a",)]
        key = next(iter(change)).replace("__", ".").replace("linear", "linear.draws")
        assert table.notes[0].text.startswith(f"{key} is ")


class TestMachines:
    """Rows whose stage of retrieval is taken for one that measures times."""

    def measured(self, sweep: FakeSweep, name: str, machine: str | None) -> None:
        row = sweep.row(name, len(sweep.rows), cross=False)
        stage = row.stages["retrieve/demo"]
        sweep.stages[stage] = dataclasses.replace(sweep.stages[stage], kind="efficiency")
        sweep.finish(stage, r1_rgb=1.0)
        content = {"attempts": [{"machine": "an old one"}, {"machine": machine} if machine else {}]}
        sweep.folder(stage).provenance.write_text(json.dumps(content))

    def test_the_one_that_times_were_taken_on_is_named(self, sweep: FakeSweep) -> None:
        for name in ("Init.", "CMC"):
            self.measured(sweep, name, "Xeon, 2 cores, 1 threads")
        table = table_of(sweep.root, sweep.record)
        (note,) = own_notes(table)
        assert "Times of retrieve/demo: " in note.text
        assert "measured on Xeon, 2 cores, 1 threads." in note.text
        assert all(line.marks == () for line in table.lines)

    def test_a_row_of_another_one_is_marked(self, sweep: FakeSweep) -> None:
        for name, machine in (("Init.", "Xeon"), ("CMC", "Xeon"), ("Other", "EPYC"), ("Lost", None)):
            self.measured(sweep, name, machine)
        table = table_of(sweep.root, sweep.record)
        texts = {note.mark: note.text for note in table.notes}
        told = {
            name: [texts[mark] for mark in line_of(table, name).marks] for name in ("CMC", "Other", "Lost")
        }
        assert told == {
            "CMC": [],
            "Other": ["The machine of retrieve/demo is EPYC; in other rows it is Xeon."],
            "Lost": ["The machine of retrieve/demo is an unknown machine; in other rows it is Xeon."],
        }
        assert "measured on EPYC and on Xeon and on an unknown machine" in texts[""]

    def test_nothing_is_said_of_what_is_not_finished(self, sweep: FakeSweep) -> None:
        stage = sweep.row("Init.", 0).stages["retrieve/demo"]
        sweep.stages[stage] = dataclasses.replace(sweep.stages[stage], kind="efficiency")
        assert own_notes(table_of(sweep.root, sweep.record)) == []


class TestOrigin:
    def test_date_is_that_of_the_last_figure(self, tmp_path: Path) -> None:
        sweep = FakeSweep(tmp_path)
        sweep.complete(sweep.row("Init.", 0), r1=1.0, top1=1.0, at_ms=5_000)
        sweep.complete(sweep.row("Init.", 1), r1=1.0, top1=1.0, at_ms=7_000)
        assert table_of(tmp_path, sweep.record).finished_ms == sweep.created_ms + 7_000

    def test_no_date_before_anything_is_finished(self, sweep: FakeSweep) -> None:
        sweep.row("Init.", 0)
        assert table_of(sweep.root, sweep.record).finished_ms is None

    def test_several_commits_are_said(self, sweep: FakeSweep) -> None:
        row = sweep.row("Init.", 0, cross=False)
        for stage, commit in zip(row.stages.values(), "abab", strict=True):
            sweep.finish(stage, commit=commit * 40, r1_rgb=1.0)
        table = table_of(sweep.root, sweep.record)
        assert table.commit == f"{'a' * 12}, {'b' * 12}"
        assert any("2 commits" in note.text for note in table.notes)

    def test_uncommitted_changes_are_said(self, sweep: FakeSweep) -> None:
        row = sweep.row("Init.", 0, cross=False)
        stage = row.stages["linear/demo"]
        sweep.finish(stage, commit="c" * 40, top1_rgb=1.0)
        provenance = sweep.folder(stage).provenance
        content = json.loads(provenance.read_text())
        content["attempts"][0]["code"]["diff"] = "+ a line"
        provenance.write_text(json.dumps(content))
        table = table_of(sweep.root, sweep.record)
        assert table.commit == f"{'c' * 12}+"
        assert any("uncommitted" in note.text for note in table.notes)

    @pytest.mark.parametrize("content", ["", "{", '{"attempts": []}', '{"attempts": [{"code": null}]}'])
    def test_unreadable_provenance_is_an_unknown_commit(self, sweep: FakeSweep, content: str) -> None:
        row = sweep.row("Init.", 0, cross=False)
        sweep.complete(row, r1=1.0, top1=1.0)
        for stage in row.stages.values():
            sweep.folder(stage).provenance.write_text(content)
        assert table_of(sweep.root, sweep.record).commit == ""

    def test_the_command_is_one_to_type(self, sweep: FakeSweep) -> None:
        sweep.row("Init.", 0)
        record = sweep.record
        record.command[:] = ["/home/me/.venv/bin/python3.11", "-m", "mvcgc.run", "name=a b"]
        assert table_of(sweep.root, record).command == "python -m mvcgc.run 'name=a b'"


@pytest.mark.parametrize(
    ("figures", "view", "shown"),
    [
        ({"top1_rgb": 1.0, "top1_mv": 2.0, "top1_both": 3.0, "top5_both": 9.0}, None, 3.0),
        ({"top1_rgb": 1.0, "top1_mv": 2.0, "top1_both": 3.0}, "mv", 2.0),
        ({"top1_rgb": 1.0, "top1_mv": 2.0, "top1_both": 3.0}, "both", 3.0),
        ({"top1": 5.0, "top1_rgb": 1.0}, "rgb", 5.0),
        ({"top1_mv": 2.0}, "rgb", None),
        ({"top1_mv": 2.0, "top5_mv": 9.0}, None, 2.0),
        ({"top5_mv": 9.0}, None, None),
    ],
)
def test_a_metric_without_a_view_is_that_of_the_row_or_of_all_evaluated(
    sweep: FakeSweep, figures: dict[str, float], view: str | None, shown: float | None
) -> None:
    sweep.columns = [Column("linear/demo", "top1", "Top-1")]
    sweep.baseline = sweep.paper_table = None
    row = sweep.row("CMC", 0, view=view)
    sweep.finish(row.stages["linear/demo"], **figures)
    sweep.write()
    assert table_of(sweep.root, sweep.record).lines[0].cells[0].mean == shown


@pytest.mark.parametrize(
    ("protocol", "said"), [("coclr", "as in the published figures"), ("crops", "not centred")]
)
def test_notes_tell_the_protocol_of_retrieval_and_what_became_of_the_figures(
    tmp_path: Path, protocol: str, said: str
) -> None:
    record = table_factories.make(tmp_path).record
    assert not [note for note in table_of(tmp_path, record).notes if note.text.startswith("Retrieval")]
    downstream = {"retrieve": {"protocol": protocol}, "linear": {}}
    told = dataclasses.replace(record, base={**record.base, "downstream": downstream})
    notes = [note.text for note in table_of(tmp_path, told).notes]
    assert [said in note for note in notes if note.startswith("Retrieval")] == [True]
    assert [note for note in notes if "corrected it in January 2021 to 46.8" in note]
    linear = [column for column in told.table.columns if not column.stage.startswith("retrieve")]
    other = dataclasses.replace(told, table=dataclasses.replace(told.table, columns=linear, baseline=None))
    assert not [note for note in table_of(tmp_path, other).notes if note.text.startswith("Retrieval")]
    assert len(own_notes(table_of(tmp_path, other))) < len(table_of(tmp_path, other).notes)
