from pathlib import Path

import pytest
from plan_factories import finish, make_graph, make_manifest, make_row

from mvcgc.plan import Difference, Graph, why
from mvcgc.stages.pretrain.kind import Init


def finished(root: Path, graph: Graph) -> None:
    for stage in graph.stages.values():
        finish(stage, root)


def differences(graph: Graph, name: str, root: Path) -> list[str]:
    return [str(difference) for difference in why(graph.rows[0].stages[name], root).differences]


def test_nothing_of_that_name_has_finished(tmp_path: Path) -> None:
    stage = make_graph([make_row()]).rows[0].stages["cross"]
    found = why(stage, tmp_path)
    assert (found.nearest, found.differences) == (None, [])
    assert str(found) == f"{stage.id}: no stage cross has finished before"


def test_the_stage_itself_has_finished(tmp_path: Path) -> None:
    graph = make_graph([make_row()])
    finished(tmp_path, graph)
    found = why(graph.rows[0].stages["cross"], tmp_path)
    assert found.differences == []
    assert str(found).endswith("finished, nothing to run")


def test_names_the_fields_that_changed(tmp_path: Path) -> None:
    finished(tmp_path, make_graph([make_row()]))
    graph = make_graph([make_row(method__k=10, cross__lr=0.5)])
    found = why(graph.rows[0].stages["cross"], tmp_path)
    assert found.differences == [Difference("method.k", 10, 5), Difference("optim.lr", 0.5, 1e-4)]
    assert str(found).splitlines()[1:] == ["  method.k: 10, was 5", "  optim.lr: 0.5, was 0.0001"]


def test_the_nearest_is_the_one_with_the_fewest_differences(tmp_path: Path) -> None:
    for k, tau in ((5, 0.2), (1, 0.07), (7, 0.3)):
        finished(tmp_path, make_graph([make_row(method__k=k, method__tau=tau)]))
    graph = make_graph([make_row(method__k=10)])
    assert differences(graph, "cross", tmp_path) == ["method.k: 10, was 1"]


def test_looks_into_the_parents(tmp_path: Path) -> None:
    finished(tmp_path, make_graph([make_row()]))
    graph = make_graph([make_row(init__epochs=31)])
    expected = [f"init/{view}: optim.epochs: 31, was 30" for view in ("mv", "rgb")]
    assert differences(graph, "cross", tmp_path) == expected
    assert differences(graph, "retrieve/tiny", tmp_path) == [f"cross: {line}" for line in expected]


def test_a_parent_more_or_less(tmp_path: Path) -> None:
    finished(tmp_path, make_graph([make_row()]))
    graph = make_graph([make_row(method__init=False)])
    found = differences(graph, "cross", tmp_path)
    assert found[0] == "method.init: False, was True"
    assert [line.partition(":")[0] for line in found[1:]] == ["mv encoder from", "rgb encoder from"]


def test_the_datasets_content_and_the_version_of_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(tmp_path, make_graph([make_row()]))
    monkeypatch.setattr(Init, "version", 1000)
    graph = make_graph([make_row()], tiny=make_manifest(videos=44))
    found = why(graph.rows[0].stages["init/rgb"], tmp_path)
    assert [difference.field for difference in found.differences] == ["code version", "dataset"]


def test_unfinished_and_unreadable_ones_do_not_count(tmp_path: Path) -> None:
    old = make_graph([make_row()])
    finished(tmp_path, old)
    old.rows[0].stages["init/rgb"].folder(tmp_path).done.unlink()
    old.rows[0].stages["init/mv"].folder(tmp_path).config.write_text("name: 3")
    graph = make_graph([make_row(init__epochs=31)])
    for name in ("init/rgb", "init/mv"):
        assert why(graph.rows[0].stages[name], tmp_path).nearest is None
