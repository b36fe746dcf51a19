"""From jobs to the rows of tables."""

import dataclasses
import re
from pathlib import Path

import pytest
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from mvcgc.config import HYDRA_DEFAULTS, Composer, Jobs, TableRequest
from mvcgc.errors import UserError
from mvcgc.method.cmc import CMC
from mvcgc.method.coclr import CoCLR
from mvcgc.method.infonce import InfoNCE
from mvcgc.method.init_only import InitOnly
from mvcgc.method.mvcgc import MVCGC, Mining
from mvcgc.method.uber import UberNCE
from mvcgc.tables import check_paper, paper_table


def tables(composed: Composer, *jobs: str, single: bool = False) -> list[TableRequest]:
    """The tables of jobs, each given as a line."""
    return Jobs(composed, [job.split() for job in jobs], single).tables()


def table(composed: Composer, *jobs: str, single: bool = False) -> TableRequest:
    """The one table of jobs."""
    (only,) = tables(composed, *jobs, single=single)
    return only


def names(request: TableRequest) -> list[str]:
    return [row.name for row in request.rows]


def assert_paper_agrees(request: TableRequest) -> None:
    columns = [column.paper for column in request.spec.columns]
    check_paper(request.spec.paper_table, columns, [row.paper for row in request.rows])


def test_a_single_run_is_compared_with_its_initialisation(composed: Composer) -> None:
    found = table(composed, "seed=3", single=True)
    assert (found.name, found.scale, found.spec.baseline) == ("run", "demo", "Init.")
    init, row = found.rows
    assert (init.name, init.seed, type(init.experiment.method)) == ("Init.", 3, InitOnly.Config)
    assert (row.name, row.seed, type(row.experiment.method)) == ("MVCGC", 3, MVCGC.Config)
    # The same stages: nothing but the method differs.
    assert init.experiment.init is row.experiment.init
    stages = {(column.stage, column.metric) for column in found.spec.columns}
    assert stages == {
        *(("linear/demo", f"top1_{view}") for view in ("rgb", "mv", "both")),
        *(("retrieve/demo", f"r1_{view}") for view in ("rgb", "mv", "both")),
    }


def test_a_single_run_is_named_after_what_was_given(composed: Composer) -> None:
    assert names(table(composed, "method=cmc cross.lr=0.1 root=/x", single=True)) == [
        "Init.",
        "CMC [cross.lr=0.1]",
    ]
    assert names(table(composed, "name=mine method.k=3", single=True)) == ["Init.", "mine"]
    assert names(table(composed, "method=init", single=True)) == ["Init."]


def test_without_evaluation_the_loss_is_shown(composed: Composer) -> None:
    found = table(composed, "downstream=none", single=True)
    assert names(found) == ["MVCGC"]
    assert [(column.stage, column.metric, column.better) for column in found.spec.columns] == [
        ("cross", "loss", "lower"),
        ("cross", "acc_rgb", "higher"),
        ("cross", "acc_mv", "higher"),
    ]


def test_the_loss_ablation(composed: Composer) -> None:
    found = table(composed, "sweeps=ablation_loss seed=0", "sweeps=ablation_loss seed=1")
    assert (found.name, found.spec.baseline) == ("ablation_loss", "Init.")
    first = found.rows[: len(found.rows) // 2]
    assert [row.name for row in first] == [row.name for row in found.rows[len(first) :]]
    assert {row.seed for row in first} == {0}
    methods = {row.name: row.experiment.method for row in first}
    common = {"tau": 0.07, "queue": 64, "momentum": 0.99, "dim": 64}
    assert methods == {
        "Init.": InitOnly.Config(**common),
        "InfoNCE (continued)": InfoNCE.Config(**common),
        "CMC": CMC.Config(**common),
        "CoCLR": CoCLR.Config(**common, k=5, cycles=2),
        "MVCGC (k=5)": MVCGC.Config(**common, k=5),
        "MVCGC (k=5, w/o init)": MVCGC.Config(**common, k=5, init=False),
        "MVCGC (k=1)": MVCGC.Config(**common, k=1),
        "MVCGC (k=10)": MVCGC.Config(**common, k=10),
        "MVCGC (k=20)": MVCGC.Config(**common, k=20),
        "MVCGC (k=5, union)": MVCGC.Config(**common, k=5, mining=Mining.union),
        "UberNCE (supervised)": UberNCE.Config(**common),
    }
    assert_paper_agrees(found)
    figures = paper_table("table3_pretraining_settings_ucf101").figures("retrieval_r1")
    assert {row.name: figures[row.paper] for row in first if row.paper} == {
        "Init.": 33.1,
        "CoCLR": 53.8,
        "MVCGC (k=5)": 60.8,
        "MVCGC (k=5, w/o init)": 48.4,
        "MVCGC (k=1)": 60.0,
        "MVCGC (k=10)": 61.4,
        "MVCGC (k=20)": 59.7,
        "MVCGC (k=5, union)": 57.7,
    }


@pytest.mark.parametrize("scale", ["demo", "ucf101"])
def test_the_resolution_ablation(composed: Composer, scale: str) -> None:
    found = table(composed, f"sweeps=ablation_mv_resolution scale={scale}")
    full, middle, small = composed.compose([f"scale={scale}"]).sweep.motion_sizes
    assert full == composed.compose([f"scale={scale}"]).motion.size
    assert min(full, middle, small) >= 32  # what the networks take at least
    motions = [row.experiment.motion for row in found.rows]
    assert [(motion.cell, motion.size) for motion in motions] == [
        (cell, size) for size in (full, middle, small) for cell in (8, 16, 32, 64)
    ]
    assert found.spec.baseline == found.rows[0].name == f"cell 8 px, input {full} px"
    assert_paper_agrees(found)


@pytest.mark.parametrize("scale", ["demo", "ucf101"])
def test_the_cost_of_testing(composed: Composer, scale: str) -> None:
    found = table(composed, f"sweeps=table1 scale={scale}")
    stored = [row.experiment.evaluated_views for row in found.rows]
    assert stored == [["rgb", "mv"], ["rgb", "flow"], ["rgb", "flow_dis"], ["rgb", "mv_coviar"]]
    assert {row.experiment.method.part for row in found.rows} == {MVCGC}
    assert {column.stage for column in found.spec.columns} == {f"efficiency/{scale}", f"finetune/{scale}"}
    assert [column.better for column in found.spec.columns] == [*4 * ["lower"], "higher"]
    # In the demo nothing is trained on TV-L1: a second for the two clips of a sample.
    both, alone = ["finetune", "efficiency"], ["efficiency"]
    tasks = [row.experiment.downstream.tasks for row in found.rows]
    assert tasks == [both, alone if scale == "demo" else both, both, both]
    assert_paper_agrees(found)


@pytest.mark.parametrize(("scale", "flow"), [("demo", "flow_dis"), ("ucf101", "flow")])
def test_where_the_class_is_seen(composed: Composer, scale: str, flow: str) -> None:
    found = table(composed, f"sweeps=figure4 scale={scale}")
    assert [row.experiment.views for row in found.rows] == [["rgb", "mv"], ["rgb", "mv"], ["rgb", flow]]
    assert [row.experiment.has_cross for row in found.rows] == [False, True, True]
    assert {row.view for row in found.rows} == {"rgb"}
    assert [(plot.stage, plot.view) for plot in found.spec.plots] == [(f"activation/{scale}", "rgb")]


def test_speed_has_columns_of_its_own(composed: Composer) -> None:
    found = table(composed, "downstream.tasks=[efficiency]", single=True)
    assert [(column.metric, column.better) for column in found.spec.columns] == [
        ("preprocess_s", "lower"),
        ("inference_ms", "lower"),
        ("total_s", "lower"),
        ("storage_gb", "lower"),
    ]


@pytest.mark.parametrize("scale", ["demo", "ucf101", "k400"])
@pytest.mark.parametrize(
    ("sweep", "figures"),
    [
        ("table2", {"linear_top1": [None, 65.0, 66.8, 51.3, 63.4, 73.1, 73.8]}),
        (
            "table3",
            {"retrieval_r1": [None, 33.1, 51.8, 53.8, 58.6, 60.8, 48.4, 60.0, 61.4, 59.7, 57.7, None, None]},
        ),
        ("table4", {"ucf_full": [81.4, 82.0, 87.3, 87.4], "hmdb_linear": [39.1, 41.1, 40.2, 41.0]}),
        ("table5", {"r1@UCF101": [53.3, 60.8, 55.9, 66.1], "r10@HMDB51": [53.5, 61.3, 57.9, 60.7]}),
        ("ablation_k", {"linear_top1": [None, 71.5, 73.1, 72.7, 71.5, 71.3]}),
    ],
)
def test_the_papers_rows(
    composed: Composer, sweep: str, figures: dict[str, list[float | None]], scale: str
) -> None:
    found = table(composed, f"sweeps={sweep} scale={scale}")
    assert_paper_agrees(found)
    reference = paper_table(found.spec.paper_table)
    for column, expected in figures.items():
        pretrained = "@UCF101" if sweep == "table4" else ""
        published = reference.figures(f"{column}{pretrained}")
        assert [published[row.paper] if row.paper else None for row in found.rows] == expected
    flow = "flow_dis" if scale == "demo" else "flow"
    named = {view for row in found.rows for view in row.experiment.views}
    assert named <= {"rgb", "mv", "mv_coviar", flow, f"{flow}_low"}
    datasets = {"demo": ["demo", "demo_large"]}.get(scale, ["ucf101", "hmdb51"])
    if sweep in ("table4", "table5"):
        assert all([d.name for d in row.experiment.evaluated_datasets] == datasets for row in found.rows)
        assert {column.stage.partition("/")[2] for column in found.spec.columns} == {*datasets}
    if sweep == "table4":
        assert {c.paper.partition("@")[2] for c in found.spec.columns} == {
            "K400" if scale == "k400" else "UCF101"
        }


def test_a_row_shows_a_view_that_it_evaluates(composed: Composer) -> None:
    rows = table(composed, "sweeps=table4").rows
    assert [row.view for row in rows] == ["rgb", "rgb", "both", "both"]
    # RGB alone is the same experiment as both: a column of it, not another fine-tuning.
    assert rows[0].experiment.downstream is rows[2].experiment.downstream
    with pytest.raises(UserError, match=re.escape("view=mv: the row evaluates [rgb]")):
        dataclasses.replace(
            rows[0], experiment=composed.compose(["views=rgb", "method=init"]).experiment, view="mv"
        )


def test_columns_follow_the_dataset(composed: Composer) -> None:
    sweep = composed.compose(["sweeps=ablation_loss", "dataset=hmdb51"]).sweep
    assert {column.stage for column in sweep.columns} == {"linear/hmdb51", "retrieve/hmdb51"}


def test_a_table_of_ones_own(composed: Composer) -> None:
    jobs = [f"method={m} method.k={k} seed={s}" for m in ("mvcgc", "coclr") for k in (1, 5) for s in (0, 1)]
    found = table(composed, *jobs)
    assert list(dict.fromkeys(names(found))) == [
        "MVCGC [method.k=1]",
        "MVCGC [method.k=5]",
        "CoCLR [method.k=1]",
        "CoCLR [method.k=5]",
    ]
    assert len(found.rows) == 8
    assert found.spec.baseline is None


def test_two_sweeps_and_two_scales_are_tables_of_one_command(composed: Composer) -> None:
    jobs = (
        "sweeps=ablation_loss",
        "sweeps=ablation_mv_resolution",
        "sweeps=ablation_mv_resolution scale=ucf101",
    )
    found = [(one.name, one.scale) for one in tables(composed, *jobs)]
    assert found == [
        ("ablation_loss", "demo"),
        ("ablation_mv_resolution", "demo"),
        ("ablation_mv_resolution", "ucf101"),
    ]


@pytest.mark.parametrize(
    ("jobs", "single", "line"),
    [
        (["sweeps=ablation_loss"], True, "sweeps=ablation_loss: a sweep has many rows, so it takes -m"),
        (
            ["sweeps=ablation_loss method.k=3"],
            False,
            "row 'Init.' of ablation_loss: there is no key method.k: method=init has method.tau, ",
        ),
        (
            ["sweeps=ablation_loss method=cmc"],
            False,
            "row 'Init.' of ablation_loss: method=cmc contradicts method=init",
        ),
        (
            ["sweeps=ablation_loss method.variant=cmc"],
            False,
            "there is no key method.variant: method=mvcgc has method.tau, ",
        ),
        (
            ["sweeps=ablation_mv_resolution scale=ucf101 motion.cell=16"],
            False,
            "row 'cell 8 px, input 128 px' of ablation_mv_resolution: motion.cell=16 contradicts",
        ),
        (
            ["sweeps=ablation_mv_resolution scale=ucf101 downstream.views=[flow]"],
            False,
            "row 'cell 8 px, input 128 px' of ablation_mv_resolution: downstream.views=[flow]: flow",
        ),
        (["seed=1", "seed=1"], False, "the table run has the row 'MVCGC' with seed=1 twice"),
        (["root=a", "root=b"], False, "root has several values"),
    ],
)
def test_mistakes(composed: Composer, jobs: list[str], single: bool, line: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(line)}"):
        tables(composed, *jobs, single=single)


def test_what_a_row_sets_may_be_said_again(composed: Composer) -> None:
    short = "sweeps=ablation_mv_resolution scale=demo motion.size=48 sweep.motion_sizes=[48,48,48]"
    with pytest.raises(UserError, match=r"has the row .* twice"):  # and nothing about a contradiction
        tables(composed, short)


def test_mistakes_in_a_sweep_file_name_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "sweeps"
    folder.mkdir()
    start = "# @package _global_\nsweep:\n"
    (folder / "typo.yaml").write_text(f"{start}  rowz: []\n")
    (folder / "empty.yaml").write_text(f"{start}  title: nothing\n")
    (folder / "base.yaml").write_text(
        f"{start}  baseline: none\n  rows: [{{name: a}}, {{name: b, overrides: [seed=1]}}]\n"
    )
    (folder / "scales.yaml").write_text(f"{start}  rows: [{{name: a, overrides: [scale=few_steps]}}]\n")
    (folder / "wrong.yaml").write_text(f"{start}  rows: [{{name: a, overrides: [metod=cmc]}}]\n")
    (folder / "own.yaml").write_text(f"{start}  rows: [{{name: a, overrides: [method=mvcgc, method.k=5]}}]\n")
    lines = {
        "own method.k=3": "row 'a' of own: method.k=3 contradicts method.k=5; leave it out",
        "own method.mining=union": "row 'a' of own: method.mining=union contradicts method=mvcgc",
        "typo": "in sweeps/typo.yaml: there is no key sweep.rowz: did you mean sweep.rows?",
        "empty": "sweeps=empty: its file lists no rows under sweep.rows",
        "base": "sweep.baseline=none: no row of base has this name",
        "scales": "row 'a' of scales: scale=few_steps: a table has one scale; leave it to the command line",
        "wrong": "row 'a' of wrong: there is no key metod: did you mean method?",
    }
    with initialize_config_module("mvcgc.conf", **HYDRA_DEFAULTS):
        loader = GlobalHydra.instance().config_loader()
        loader.get_search_path().prepend("test", f"file://{tmp_path}")
        fresh = Composer(type(loader)(loader.get_search_path()))
        for sweep, line in lines.items():
            with pytest.raises(UserError, match=f"^{re.escape(line)}"):
                tables(fresh, f"sweeps={sweep}")


OWN_TABLES = [
    ("", "run-mine", "Comparison on mine"),
    ("ablation_loss", "ablation_loss-mine", "Loss variants on mine"),
]


@pytest.mark.parametrize(("sweep", "name", "title"), OWN_TABLES)
def test_a_table_of_own_data_carries_its_name(composed: Composer, sweep: str, name: str, title: str) -> None:
    job = "dataset=folder dataset.root=/data/mine scale=demo downstream=probe"
    found = table(composed, f"{job} sweeps={sweep}" if sweep else job, single=not sweep)
    assert (found.name, found.title, found.scale) == (name, title, "demo")
    assert found.spec.baseline == "Init."
    assert found.spec.columns[0].stage == "linear/mine"


def test_tables_of_several_own_datasets_are_apart(composed: Composer) -> None:
    jobs = [f"dataset=folder dataset.root=/data/{name} scale=demo" for name in ("one", "two")]
    assert [found.name for found in tables(composed, *jobs)] == ["run-one", "run-two"]
