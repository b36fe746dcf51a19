"""``init.weights``, ``method=none`` and ``method=random`` in a graph."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from plan_factories import TASKS, make_experiment, make_graph, make_manifest, make_row
from safetensors.torch import save_file
from weights_factories import make_weights

from mvcgc.data.clips.sampling import ClipConfig
from mvcgc.errors import UserError
from mvcgc.files import sha256_of
from mvcgc.method.init_only import InitOnly
from mvcgc.method.no_training import GivenOnly, Untrained
from mvcgc.models import BackboneConfig
from mvcgc.models.pretrained import RgbInput
from mvcgc.models.resnet3d import R3D18
from mvcgc.models.s3d import S3D
from mvcgc.models.tiny import R2Plus1D4
from mvcgc.plan import Stage
from mvcgc.stages.given import starts
from mvcgc.stages.kind import KindConfig, StageKind
from mvcgc.stages.spec import StageDataset

NETWORK = R2Plus1D4.Config(width=0.0625)
NONE, RANDOM, INIT = GivenOnly.Config(queue=16), Untrained.Config(queue=16), InitOnly.Config(queue=16)
EVALUATED = {"linear/tiny", "retrieve/tiny"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A file for each view."""
    for number, view in enumerate(("rgb", "mv")):
        make_weights(tmp_path / f"{view}.safetensors", view, NETWORK, seed=number)
    return {view: str(tmp_path / f"{view}.safetensors") for view in ("rgb", "mv")}


def stages_of(**changes: Any) -> dict[str, Stage]:
    return make_graph([make_row(backbone=NETWORK, **changes)]).rows[0].stages


def parents(stages: dict[str, Stage]) -> dict[str, dict[str, str]]:
    return {
        name: {role: parent.name for role, parent in stage.parents.items()} for name, stage in stages.items()
    }


def weights(stage: Stage) -> dict[str, str]:
    found: dict[str, str] = stage.config(Path("/root")).spec["weights"]
    return found


def test_a_given_view_is_not_initialised(files: dict[str, str]) -> None:
    stages = stages_of(init__weights={"rgb": files["rgb"]})
    assert parents(stages) == {
        "init/mv": {},
        "cross": {"mv": "init/mv"},
        "linear/tiny": {"rgb": "cross", "mv": "cross"},
        "retrieve/tiny": {"rgb": "cross", "mv": "cross"},
    }
    assert weights(stages["cross"]) == {"rgb": sha256_of(Path(files["rgb"]))}
    assert stages["cross"].config(Path("/root")).runtime.weights == {"rgb": files["rgb"]}
    assert weights(stages["linear/tiny"]) == {}
    assert stages["linear/tiny"].config(Path("/root")).runtime.weights == {}


def test_the_other_view_knows_nothing_of_it(files: dict[str, str]) -> None:
    plain, given = stages_of(), stages_of(init__weights={"rgb": files["rgb"]})
    assert given["init/mv"].fingerprint == plain["init/mv"].fingerprint
    assert "weights" not in given["init/mv"].config(Path("/root")).spec["optim"]
    for name in ("cross", *EVALUATED):
        assert given[name].fingerprint != plain[name].fingerprint


def test_both_views_given_leave_nothing_to_initialise(files: dict[str, str]) -> None:
    stages = stages_of(init__weights=files)
    assert set(stages) == {"cross", *EVALUATED}
    assert stages["cross"].parents == {}


def test_initialisation_alone_evaluates_the_file_and_the_trained_view(files: dict[str, str]) -> None:
    stages = stages_of(method=INIT, init__weights={"mv": files["mv"]})
    assert parents(stages) == {"init/rgb": {}, **{name: {"rgb": "init/rgb"} for name in EVALUATED}}
    for name in EVALUATED:
        assert weights(stages[name]) == {"mv": sha256_of(Path(files["mv"]))}
        assert stages[name].config(Path("/root")).runtime.weights == {"mv": files["mv"]}


def test_none_evaluates_the_files_without_any_training(files: dict[str, str]) -> None:
    stages = stages_of(method=NONE, init__weights=files, downstream__tasks=TASKS)
    assert set(stages) == {f"{task}/tiny" for task in TASKS}
    assert parents(stages)["activation/tiny"] == {"linear": "linear/tiny"}
    assert set(weights(stages["activation/tiny"])) == {"rgb", "mv"}
    # Weights do not change speed, nor do the settings of pre-training change what is given.
    assert "weights" not in stages["efficiency/tiny"].config(Path("/root")).spec
    other = stages_of(
        method=replace(NONE, queue=32), init__weights=files, init__lr=0.5, downstream__tasks=TASKS
    )
    assert {name: stage.id for name, stage in stages.items()} == {n: s.id for n, s in other.items()}


def test_init_only_with_all_views_given_is_none(files: dict[str, str]) -> None:
    rows = [make_row(backbone=NETWORK, method=m, init__weights=files) for m in (NONE, INIT)]
    graph = make_graph(rows)
    assert set(graph.rows[0].stages) == EVALUATED
    assert len(graph.stages) == len(EVALUATED)


def test_none_needs_files_of_the_views_that_it_evaluates(files: dict[str, str]) -> None:
    given = {"rgb": files["rgb"]}
    line = r"method=none trains nothing and no weights of mv are given: set init\.weights\.mv=FILE, or downst"
    with pytest.raises(UserError, match=line):
        stages_of(method=NONE, init__weights=given)
    stages = stages_of(method=NONE, init__weights=given, downstream__views=["rgb"])
    assert set(weights(stages["linear/tiny"])) == {"rgb"}
    assert stages_of(method=NONE, downstream__tasks=["efficiency"])


def test_random_depends_on_the_seed_and_on_no_file(files: dict[str, str]) -> None:
    stages = stages_of(method=RANDOM, downstream__tasks=["linear", "activation"])
    assert parents(stages) == {"linear/tiny": {}, "activation/tiny": {"linear": "linear/tiny"}}
    assert weights(stages["activation/tiny"]) == {"rgb": "seed 0", "mv": "seed 0"}
    assert weights(stages_of(method=RANDOM, seed=3)["linear/tiny"]) == {"rgb": "seed 3", "mv": "seed 3"}
    given = stages_of(method=RANDOM, init__weights=files, downstream__tasks=["linear", "activation"])
    assert {stage.id for stage in given.values()} == {stage.id for stage in stages.values()}


def test_a_second_stage_from_random_weights_ignores_the_files(files: dict[str, str]) -> None:
    plain, given = stages_of(method__init=False), stages_of(method__init=False, init__weights=files)
    assert {stage.id for stage in given.values()} == {stage.id for stage in plain.values()}


def test_a_view_that_a_row_does_not_have_is_left_alone(files: dict[str, str]) -> None:
    plain = stages_of(method=INIT, views=["rgb"], init__weights={"rgb": files["rgb"]})
    given = stages_of(method=INIT, views=["rgb"], init__weights=files)
    assert {stage.id for stage in given.values()} == {stage.id for stage in plain.values()}


def test_the_content_of_a_file_counts_and_its_place_does_not(files: dict[str, str], tmp_path: Path) -> None:
    first = stages_of(init__weights=files)["cross"]
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copy(files["rgb"], moved / "other name")
    second = stages_of(init__weights={**files, "rgb": str(moved / "other name")})["cross"]
    assert second.fingerprint == first.fingerprint
    Path(files["rgb"]).unlink()
    make_weights(Path(files["rgb"]), "rgb", NETWORK, seed=9)
    assert stages_of(init__weights=files)["cross"].fingerprint != first.fingerprint


def test_a_path_may_be_relative_or_of_the_home(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    stages = stages_of(init__weights={"rgb": "rgb.safetensors", "mv": "~/mv.safetensors"})
    assert stages["cross"].config(Path("/root")).runtime.weights == files


def test_equal_starts_are_one_object(files: dict[str, str]) -> None:
    one, other = (make_experiment(backbone=NETWORK, init__weights=dict(files)) for _ in range(2))
    assert starts(one, ["rgb", "mv"]) is starts(other, ["rgb", "mv"])
    assert starts(make_experiment(), ["rgb"]) is starts(make_experiment(seed=1), ["mv"])


@pytest.mark.parametrize(
    ("view", "backbone", "card", "line"),
    [
        ("mv", NETWORK, {}, "holds an encoder of mv, not of rgb"),
        (
            "rgb",
            R2Plus1D4.Config(width=0.125),
            {},
            "holds a backbone r2plus1d_4, width=0.125, the experiment ",
        ),
        (
            "rgb",
            S3D.Config(width=0.0625),
            {},
            "holds a backbone s3d, width=0.0625, the experiment has r2plus1d",
        ),
        (
            "rgb",
            NETWORK,
            {"input": RgbInput((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))},
            "was trained on input of another scale",
        ),
    ],
)
def test_another_encoder_is_refused(
    tmp_path: Path, view: str, backbone: BackboneConfig, card: dict[str, Any], line: str
) -> None:
    file = tmp_path / "x.safetensors"
    make_weights(file, view, backbone, **card)
    with pytest.raises(UserError) as refused:
        stages_of(init__weights={"rgb": str(file)})
    assert str(refused.value).startswith(f"init.weights.rgb={file}: {line}")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    for make, line in (
        (lambda: None, f"init.weights.rgb={file}: No such file or directory; give a file of"),
        (lambda: file.write_bytes(b"something"), f"init.weights.rgb: {file} cannot be read as safetensors"),
        (lambda: save_file({}, file), f"init.weights.rgb: {file} is no encoder file of mvcgc"),
        (lambda: file.unlink() or file.mkdir(), f"init.weights.rgb: {file} cannot be read as safetensors"),
    ):
        make()
        with pytest.raises(UserError) as refused:
            stages_of(init__weights={"rgb": str(file)})
        assert str(refused.value).startswith(line)
        assert "\n" not in str(refused.value)


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(UserError, match=r"init\.weights.*rbg"):
        make_experiment(init__weights={"rbg": "x"})


@pytest.mark.parametrize("method", [NONE, RANDOM])
def test_a_row_with_nothing_to_do_is_refused(method: Any, files: dict[str, str]) -> None:
    line = rf"method={method.part.label}: row 'row' has no stage: nothing is trained"
    with pytest.raises(UserError, match=line):
        stages_of(method=method, init__weights=files, downstream__tasks=[])
    with pytest.raises(UserError, match=line):
        make_graph([make_row(method=method)], tiny=make_manifest(classes=0))


@dataclass
class PlainSpec:
    """Knows nothing of given weights."""

    task: KindConfig
    views: list[str]
    modalities: Any
    dataset: StageDataset
    clip: ClipConfig
    motion: Any
    backbone: BackboneConfig


class Plain(StageKind):
    """A task of a user's own."""

    version = 1
    Spec = PlainSpec

    @staticmethod
    def run(context: Any, spec: Any) -> Any:
        """Do nothing."""


def test_a_task_that_cannot_read_files_says_so(files: dict[str, str]) -> None:
    downstream = make_experiment().downstream
    own = replace(downstream, tasks=["plain"], kinds={**downstream.kinds, "plain": Plain.Config()})
    assert "plain/tiny" in stages_of(downstream=own)
    with pytest.raises(UserError, match=r"downstream\.tasks: plain reads encoders of stages only"):
        stages_of(downstream=own, method=NONE, init__weights=files)


def test_backbones_are_compared_by_class_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    make_weights(file, "rgb", R3D18.Config(width=0.0625))
    with pytest.raises(
        UserError, match=r"holds a backbone r3d_18, width=0\.0625, the experiment has r2plus1d_4"
    ):
        stages_of(init__weights={"rgb": str(file)})
