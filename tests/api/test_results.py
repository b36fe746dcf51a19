"""Results in long form."""

import math
from pathlib import Path

import pytest
from fake_sweep import FakeSweep

import mvcgc
from mvcgc.errors import UserError
from mvcgc.plan import Column

COLUMNS = ["sweep", "row", "seed", "stage", "metric", "value", "state", "fingerprint", "scale"]


def test_one_line_per_metric(folder: Path) -> None:
    table = mvcgc.results("runs")
    assert list(table.columns) == COLUMNS
    assert set(table.sweep) == {"ablation_loss"}
    (line,) = table.query("row == 'Init.' and seed == 1 and metric == 'r1_rgb'").to_dict("records")
    assert (line["stage"], line["value"], line["state"]) == ("retrieve/demo", 31.0, "finished")
    assert (folder / "runs" / "stages" / f"retrieve/demo-{line['fingerprint']}").is_dir()
    assert line["scale"] == "demo"
    assert not table.duplicated(["row", "seed", "stage", "metric"]).any()


def test_unfinished_stages_have_lines_without_a_value(folder: Path) -> None:
    table = mvcgc.results(folder / "runs", "ablation_loss")
    open_ = table[(table.row == "MVCGC (k=5)") & (table.seed == 1)].set_index("stage")
    assert open_.loc["retrieve/demo", ["metric", "state"]].tolist() == ["r1_rgb", "failed"]
    assert open_.loc["linear/demo", ["metric", "state"]].tolist() == ["top1_rgb", "missing"]
    assert math.isnan(open_.loc["retrieve/demo", "value"])
    assert open_.loc["cross", "state"] == "finished"
    # No column of the table shows them: one line says how they stand.
    assert "loss" in set(open_[open_.state == "finished"].metric)
    assert table[table.state != "finished"].value.isna().all()


def test_every_stage_of_every_row_is_there(folder: Path) -> None:
    table = mvcgc.results("runs")
    stages = table[table.row == "MVCGC (k=5)"].groupby("seed").stage.unique().map(set)
    expected = {"init/rgb", "init/mv", "cross", "linear/demo", "retrieve/demo"}
    assert stages.tolist() == [expected, expected]


def test_stages_that_nobody_has_begun(tmp_path: Path) -> None:
    fake = FakeSweep(tmp_path)
    fake.row("MVCGC (k=5)", 0)
    fake.write()
    table = mvcgc.results(tmp_path)
    assert set(table.state) == {"missing"}
    assert table.value.isna().all()
    assert table.value.dtype == "float64"
    metrics = table.set_index("stage").metric
    assert metrics["retrieve/demo"] == "r1_rgb"
    assert metrics.isna()["cross"]


@pytest.mark.parametrize(("view", "metric"), [("mv", "r1_mv"), (None, "r1_both")])
def test_a_column_that_leaves_the_modality_to_the_row(tmp_path: Path, view: str | None, metric: str) -> None:
    fake = FakeSweep(tmp_path, columns=[Column("retrieve/demo", "r1", "R@1")])
    done = fake.row("Init.", 0, cross=False, view=view)
    fake.finish(done.stages["retrieve/demo"], r1_rgb=1.0, r1_mv=2.0, r1_both=3.0)
    fake.row("MVCGC (k=5)", 0, view=view)
    fake.write()
    table = mvcgc.results(tmp_path).set_index(["row", "stage"])
    assert table.loc[("MVCGC (k=5)", "retrieve/demo"), "metric"] == metric


def test_the_newest_of_each_name_and_one_by_its_id(tmp_path: Path) -> None:
    for name, suffix, metric in (("a", "0000", 1.0), ("a", "0001", 2.0), ("b", "0000", 3.0)):
        fake = FakeSweep(tmp_path, name=name, suffix=suffix)
        row = fake.row(f"row {metric}", 0, cross=False)
        fake.complete(row, r1=metric, top1=metric)
        fake.write()
    assert set(mvcgc.results(tmp_path).row) == {"row 2.0", "row 3.0"}
    assert set(mvcgc.results(tmp_path, "b").row) == {"row 3.0"}
    assert set(mvcgc.results(tmp_path, "a-20251009T085320-0000").row) == {"row 1.0"}
    with pytest.raises(UserError, match="c: no sweep of this name or id"):
        mvcgc.results(tmp_path, "c")


def test_no_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no sweep yet"):
        mvcgc.results(tmp_path)


def test_running_and_damaged_stages(tmp_path: Path) -> None:
    fake = FakeSweep(tmp_path)
    row = fake.row("MVCGC (k=5)", 0)
    fake.complete(row, r1=1.0, top1=2.0)
    (fake.folder(row.stages["retrieve/demo"]).path / "result.json").unlink()
    fake.folder(row.stages["linear/demo"]).done.unlink()
    fake.write()
    assert fake.folder(row.stages["linear/demo"]).try_lock("test")
    states = mvcgc.results(tmp_path).set_index("stage").state
    assert states["retrieve/demo"] == "damaged"
    assert states["linear/demo"] == "running"
