import dataclasses
import json
from pathlib import Path

import pytest
from plan_factories import make_graph, make_row

from mvcgc.errors import UserError
from mvcgc.method.init_only import InitOnly
from mvcgc.plan import (
    Column,
    Graph,
    Origin,
    PlotKind,
    PlotSpec,
    SweepRecord,
    TableSpec,
    list_records,
    read_record,
    record_of,
    records_folder,
    write_record,
)
from mvcgc.runs.fingerprint import plain

ORIGIN = Origin("ablation", "Loss variants", "demo", ["python", "-m", "mvcgc.run"], "abc", True, "0.1.0")
TABLE = TableSpec("Init.", "table3", [Column("retrieve/tiny", "r1_rgb", "R@1 rgb", paper="retrieval_r1")])
TABLE.plots = [PlotSpec(PlotKind.against, x="method.k", y=["R@1 rgb"], rows=["k=1", "k=5"])]


@pytest.fixture
def graph() -> Graph:
    return make_graph(
        [
            make_row("Init.", method=InitOnly.Config(queue=16)),
            make_row("k=1", method__k=1, seed=1),
            make_row("k=5"),
        ]
    )


@pytest.fixture
def record(graph: Graph) -> SweepRecord:
    return record_of(graph.rows, ORIGIN, TABLE)


def test_survives_the_disk(tmp_path: Path, record: SweepRecord) -> None:
    path = write_record(tmp_path, record)
    assert path == records_folder(tmp_path) / f"{record.id}.json"
    assert read_record(path) == record
    assert list_records(tmp_path) == [path]


def test_one_written_before_there_were_plots_has_none(tmp_path: Path, record: SweepRecord) -> None:
    path = write_record(tmp_path, record)
    content = json.loads(path.read_text())
    del content["table"]["plots"]
    path.write_text(json.dumps(content))
    assert read_record(path).table.plots == []


def test_says_where_every_cell_comes_from(tmp_path: Path, graph: Graph, record: SweepRecord) -> None:
    for planned, row in zip(graph.rows, record.rows, strict=True):
        assert (row.name, row.seed) == (planned.row.name, planned.row.seed)
        for name, stage in planned.stages.items():
            found = record.stages[row.stages[name]]
            assert found.folder(tmp_path) == stage.folder(tmp_path)
            assert set(found.parents) == set(stage.parents)
            assert set(found.parents.values()) <= set(record.stages)
    assert set(record.stages) == set(graph.stages)


def test_gives_back_each_rows_experiment(tmp_path: Path, graph: Graph, record: SweepRecord) -> None:
    read = read_record(write_record(tmp_path, record))
    expected = [plain(one.row.experiment) for one in graph.rows]
    for experiment in expected:  # by the keys that users type
        experiment["downstream"] |= experiment["downstream"].pop("kinds")
    assert [read.config(row) for row in read.rows] == expected
    assert read.base["downstream"]["linear"]["epochs"] == 10
    assert [sorted(row.changes) for row in read.rows] == [[], ["method", "seed"], ["method"]]


def test_names_rows_by_what_applies_to_them(record: SweepRecord) -> None:
    common = {"dataset": "tiny", "views": "rgb+mv", "arch": "s3d", "mv_cell": 8, "motion_size": 32}
    assert [row.params for row in record.rows] == [
        {**common, "method": "init", "seed": 0},
        {**common, "method": "mvcgc", "init": True, "k": 1, "mining": "intersection", "seed": 1},
        {**common, "method": "mvcgc", "init": True, "k": 5, "mining": "intersection", "seed": 0},
    ]


def test_holds_a_part_of_a_graph(graph: Graph) -> None:
    part = record_of(graph.rows[:1], ORIGIN, TABLE)
    assert len(part.rows) == 1
    assert set(part.stages) == {stage.id for stage in graph.rows[0].stages.values()}


def test_lists_by_time_whatever_the_names(tmp_path: Path, record: SweepRecord) -> None:
    ids = ["z-20250101T000000-ff00", "a-b-20250102T000000-00ff", "a-20250103T000000-0000"]
    for id_ in reversed(ids):
        write_record(tmp_path, dataclasses.replace(record, id=id_))
    assert [path.stem for path in list_records(tmp_path)] == ids


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"format": 1}', '{"format": 99}'])
def test_a_file_that_is_no_record_is_the_users_matter(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(damage)
    with pytest.raises(UserError, match=r"record\.json"):
        read_record(path)


def test_an_unknown_key_is_not_ignored(tmp_path: Path, record: SweepRecord) -> None:
    path = write_record(tmp_path, record)
    path.write_text(json.dumps({**json.loads(path.read_text()), "surprise": 1}))
    with pytest.raises(UserError, match="surprise"):
        read_record(path)


def test_a_column_is_better_one_way_or_the_other() -> None:
    with pytest.raises(UserError, match=r"sweep\.columns: better=more"):
        Column("cross", "loss", "loss", better="more")
