"""Tasks and metrics of the user's own, from YAML on: their keys, their rows, their columns."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_project import KNN, OwnProject, own_project
from plan_factories import make_graph, make_row

from mvcgc import plan
from mvcgc.config import Jobs, TableRequest, compose, composer
from mvcgc.errors import UserError
from mvcgc.parts import SOURCE, TARGET, VERSION
from mvcgc.plan import Column, Graph


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnProject]:
    """A project with tasks, one of them as the option ``downstream=knn``."""
    with own_project(tmp_path / "project", monkeypatch) as made:
        made.write("downstream/knn.yaml", KNN)
        yield made


def table(*job: str) -> TableRequest:
    with composer() as own:
        (only,) = Jobs(own, [list(job)], single=True).tables()
    return only


def graph_of(request: TableRequest) -> Graph:
    return plan.build(request.rows, dict.fromkeys(plan.dataset_needs(request.rows)))


def option(project: OwnProject, text: str) -> None:
    project.write("downstream/own.yaml", text)


class TestTasks:
    def test_are_composed_as_ours(self, project: OwnProject) -> None:
        downstream = compose(["downstream=knn", "downstream.knn.share=0.25"]).downstream
        config = downstream.kinds["knn"]
        assert (type(config), config.k, config.share) == (project.load("Knn").Config, 3, 0.25)
        assert downstream.tasks == ["knn"]
        assert {"linear", "finetune", "retrieve", "efficiency", "activation", "knn"} == {*downstream.kinds}

    def test_stand_in_the_graph_with_their_class_and_its_source(self, project: OwnProject) -> None:
        graph = graph_of(table("downstream=knn"))
        stage = graph.rows[1].stages["knn/demo"]
        assert (stage.kind, stage.program, stage.code_version) == ("knn", project.load("Knn"), 1)
        assert [f"{role}={parent.name}" for role, parent in stage.parents.items()] == [
            "rgb=cross",
            "mv=cross",
        ]
        assert (stage.spec.task, stage.spec.metrics) == (stage.experiment.downstream.kinds["knn"], {})

    def test_their_config_on_disk_leads_back_to_them(self, project: OwnProject, tmp_path: Path) -> None:
        knn = project.load("Knn").Config(k=2)
        stages = (
            make_graph([make_row(downstream__kinds={"knn": knn}, downstream__tasks=["knn"])]).rows[0].stages
        )
        config = stages["knn/tiny"].config(tmp_path)
        assert config.program == config.spec["task"][TARGET] == f"{project.module}.Knn"
        assert (config.spec["task"]["k"], config.spec["task"][VERSION]) == (2, 1)
        assert re.fullmatch("[0-9a-f]{16}", config.spec["task"][SOURCE])
        assert config.runtime.import_from == [str(project.folder)]
        assert stages["cross"].config(tmp_path).runtime.import_from == []

    def test_have_their_headlines_as_columns(self, project: OwnProject) -> None:
        assert table("downstream=knn").spec.columns == [
            Column("knn/demo", f"knn_{view}", f"k-NN {view}") for view in ("rgb", "mv", "both")
        ]

    def test_of_one_class_have_columns_that_can_be_told_apart(self, project: OwnProject) -> None:
        knn = "{_target_: MODULE.Knn, k: %d}"
        option(project, f"tasks: [near, far]\nnear: {knn % 1}\nfar: {knn % 9}\n")
        columns = table("downstream=own", "views=rgb", "method=infonce").spec.columns
        assert [(column.stage, column.label) for column in columns] == [
            ("near/demo", "k-NN (near) rgb"),
            ("far/demo", "k-NN (far) rgb"),
        ]
        stages = graph_of(table("downstream=own")).rows[0].stages
        assert stages["near/demo"].fingerprint != stages["far/demo"].fingerprint

    def test_without_encoders_need_no_pretraining(self, project: OwnProject) -> None:
        option(project, "tasks: [speed]\nspeed: {_target_: MODULE.Speed}\n")
        request = table("downstream=own")
        assert request.spec.columns == [Column("speed/demo", "seconds", "Time (s)", better="lower")]
        assert [*graph_of(request).rows[0].stages] == ["speed/demo"]
        with pytest.raises(UserError, match=r"^resources\.speed\.ranks=2: it runs on one rank, use 1$"):
            graph_of(table("downstream=own", "resources.speed.ranks=2"))

    @pytest.mark.parametrize(
        ("override", "line"),
        [
            ("downstream.knn.kk=3", "there is no key downstream.knn.kk: did you mean downstream.knn.k?"),
            (
                "downstream.knn.colour=3",
                "there is no key downstream.knn.colour: downstream.knn has downstream.knn.k, ",
            ),
            ("downstream.knn.k=many", "downstream.knn.k=many: must be a whole number"),
            ("downstream.knn.k=0", "downstream.knn.k=0: ask one video at least"),
            ("downstream.knn=3", "downstream.knn=3: downstream.knn is a group of keys; set one of"),
            ("downstream.tasks=[kn]", "downstream.tasks=[kn]: no task kn; choose from knn, "),
            ("resources.kn.workers=1", "there is no key resources.kn.workers: did you mean resources.knn."),
        ],
    )
    def test_mistakes_on_the_command_line(self, project: OwnProject, override: str, line: str) -> None:
        with pytest.raises(UserError, match=f"^{re.escape(line)}") as caught:
            compose(["downstream=knn", override])
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            (
                "knn: {k: 3}",
                "downstream.knn={'k': 3}: names no class; write _target_: mylab.parts.StageKind",
            ),
            ("knn: 3", "downstream.knn=3: names no class"),
            ("knn: {_target_: MODULE.Knm}", "has no class Knm, did you mean Knn?"),
            ("knn: {_target_: MODULE.Errors}", "is no mvcgc.stages.kind.StageKind: derive it from"),
            ("knn: {_target_: MODULE.Knn, kk: 3}", "there is no key downstream.knn.kk: did you mean"),
            ("knn: {_target_: MODULE.Knn, k: 0}", "downstream.knn.k=0: ask one video at least"),
            ("cross: {_target_: MODULE.Knn}", "downstream.cross: is the name of a built-in one"),
            ("init: {_target_: MODULE.Knn}", "downstream.init: is the name of a built-in one"),
            ("a/b: {_target_: MODULE.Knn}", "downstream.a/b: use letters, digits and _ in its name"),
            ("tasks: [knm]", "downstream.tasks=[knm]: no task knm; choose from"),
        ],
    )
    def test_mistakes_in_their_file(self, project: OwnProject, text: str, line: str) -> None:
        option(project, text)
        with pytest.raises(UserError, match=re.escape(line)) as caught:
            compose(["downstream=own"])
        assert "\n" not in str(caught.value)
        assert "downstream" in str(caught.value)


class TestResources:
    def test_are_those_of_default_where_no_file_names_the_task(self, project: OwnProject) -> None:
        resources = compose(["downstream=knn", "resources=gpu"]).resources
        assert resources["knn"] == resources["default"]
        assert (resources["knn"].gpus, resources["knn"].workers) == (1, 12)

    def test_can_be_set_key_by_key(self, project: OwnProject) -> None:
        given = ["downstream=knn", "resources=gpu", "resources.knn.workers=3", "resources.default.cpus=2"]
        resources = compose(given).resources
        assert (resources["knn"].workers, resources["knn"].cpus, resources["knn"].gpus) == (3, 2, 1)
        assert (resources["default"].workers, resources["linear"].cpus) == (12, 14)

    def test_of_their_own_file(self, project: OwnProject) -> None:
        project.write("resources/mine.yaml", "defaults: [cpu, _self_]\nknn: {ranks: 2}\n")
        resources = compose(["downstream=knn", "resources=mine"]).resources
        assert (resources["knn"].ranks, resources["linear"].ranks) == (2, 1)
        stages = graph_of(table("downstream=knn", "resources=mine")).rows[0].stages
        assert stages["knn/demo"].runtime.ranks == 2

    def test_of_a_kind_that_there_is_not(self, project: OwnProject) -> None:
        project.write("resources/mine.yaml", "defaults: [cpu, _self_]\nkn: {ranks: 2}\n")
        line = "resources.kn: there is no such kind of stage, did you mean knn?"
        with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
            table("downstream=knn", "resources=mine")


METRICS = "tasks: [linear, retrieve]\nmetrics: {errors: {_target_: MODULE.Errors}}\n"


class TestMetrics:
    def test_are_reported_by_each_task_that_classifies(self, project: OwnProject) -> None:
        option(project, METRICS)
        request = table("downstream=own", "downstream.metrics.errors.scale=1", "views=rgb", "method=infonce")
        assert [(one.stage, one.metric, one.label, one.better) for one in request.spec.columns] == [
            ("linear/demo", "top1_rgb", "Linear top-1 rgb", "higher"),
            ("linear/demo", "errors_rgb", "linear errors rgb", "lower"),
            ("retrieve/demo", "r1_rgb", "R@1 rgb", "higher"),
        ]
        with_metric, without = (
            graph_of(found).rows[0].stages for found in (request, table("views=rgb", "method=infonce"))
        )
        assert with_metric["retrieve/demo"].fingerprint == without["retrieve/demo"].fingerprint
        assert with_metric["linear/demo"].fingerprint != without["linear/demo"].fingerprint
        (metric,) = with_metric["linear/demo"].spec.metrics.values()
        assert metric == project.load("Errors").Config(scale=1.0)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            (
                "errors: {scale: 3}",
                "downstream.metrics.errors={'scale': 3}: names no class; write _target_",
            ),
            (
                "errors: {_target_: MODULE.Errors, scal: 3}",
                "did you mean downstream.metrics.errors.scale?",
            ),
            (
                "errors: {_target_: MODULE.Errors, scale: x}",
                "downstream.metrics.errors.scale=x: must be a",
            ),
            ("errors: {_target_: MODULE.Knn}", "is no mvcgc.stages.evaluate.metric.Metric: derive it"),
            ("top1: {_target_: MODULE.Errors}", "downstream.metrics.top1: is the name of a built-in one"),
            (
                "val_x: {_target_: MODULE.Errors}",
                "downstream.metrics.val_x: is the name of a built-in one",
            ),
            ("'a b': {_target_: MODULE.Errors}", "downstream.metrics.a b: use letters, digits and _"),
        ],
    )
    def test_mistakes(self, project: OwnProject, text: str, line: str) -> None:
        option(project, "metrics: {" + text + "}\n")
        with pytest.raises(UserError, match=re.escape(line)) as caught:
            compose(["downstream=own"])
        assert "\n" not in str(caught.value)
