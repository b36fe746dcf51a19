"""What the groups of the configuration stand for, against the paper and the project's promises."""

from dataclasses import replace
from pathlib import Path

import pytest

import mvcgc.conf
from mvcgc.config import Composer, Config
from mvcgc.data.augment.coclr import CoCLR as CoCLRAugmentation
from mvcgc.data.augment.coclr import Probe
from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.modalities import settings
from mvcgc.data.index.layouts.kinetics import K400
from mvcgc.data.index.layouts.official import UCF101
from mvcgc.method.base import Method
from mvcgc.method.cmc import CMC
from mvcgc.method.coclr import CoCLR
from mvcgc.method.infonce import InfoNCE
from mvcgc.method.init_only import InitOnly
from mvcgc.method.mvcgc import MVCGC, Mining
from mvcgc.method.no_training import GivenOnly, Untrained
from mvcgc.method.uber import UberNCE
from mvcgc.models.backbone import BackboneConfig
from mvcgc.models.resnet3d import R3D18, R2Plus1D18
from mvcgc.models.s3d import S3D
from mvcgc.models.tiny import R2Plus1D4
from mvcgc.train.optim import OptimConfig, OptimKind, ScheduleKind

CONF = Path(mvcgc.conf.__file__).parent
ONE_VIEW = tuple(settings())
# Composed elsewhere: whole tables, and a scale that comes with a dataset.
LEFT_OUT = ("slurm", "sweeps", "dataset")


def covering_choices() -> list[list[str]]:
    """Choices of an option for every group, until each option of each group was chosen once."""
    groups: dict[str, list[str]] = {}
    for path in sorted(CONF.glob("*/*.yaml")):
        if path.parent.name not in LEFT_OUT and path.stem not in (*ONE_VIEW, "few_steps"):
            groups.setdefault(path.parent.name, []).append(path.stem)
    most = max(len(options) for options in groups.values())
    return [[f"{g}={options[i % len(options)]}" for g, options in groups.items()] for i in range(most)]


@pytest.mark.parametrize("choice", covering_choices(), ids=" ".join)
def test_every_option_composes_to_an_experiment(composed: Composer, choice: list[str]) -> None:
    assert composed.compose(choice).experiment.views


@pytest.mark.parametrize("view", ONE_VIEW)
def test_one_view_goes_without_guidance_across_views(composed: Composer, view: str) -> None:
    experiment = composed.compose([f"views={view}", "method=infonce"]).experiment
    assert (experiment.views, experiment.modalities) == ([view], settings(view))


@pytest.mark.parametrize("views", ["[rgb,flow_dis]", "[flow,rgb]", "[rgb_mv,flow_dis]"])
def test_views_are_listed(composed: Composer, views: str) -> None:
    names = views.strip("[]").replace("rgb_mv", "rgb,mv").split(",")
    experiment = composed.compose([f"views={views}", "method=infonce"]).experiment
    assert (experiment.views, experiment.modalities) == (names, settings(*names))


def test_a_modality_has_settings(composed: Composer) -> None:
    experiment = composed.compose(["views=rgb_flow_dis", "views.flow_dis.low=true"]).experiment
    assert experiment.modalities == {**settings("rgb"), "flow_dis": settings("flow_dis_low")["flow_dis_low"]}


def test_the_encoders_are_judged_on_other_datasets(composed: Composer) -> None:
    given = ["scale=k400", "downstream=ucf101_hmdb51", "downstream.datasets.hmdb51.split=2"]
    experiment = composed.compose(given).experiment
    judged = [(dataset.name, dataset.split) for dataset in experiment.evaluated_datasets]
    assert judged == [("ucf101", 1), ("hmdb51", 2)]
    assert experiment.dataset.name == "k400"


def assert_optim(optim: OptimConfig, kind: OptimKind, lr: float, decay: float, epochs: int) -> None:
    assert (optim.kind, optim.lr, optim.weight_decay, optim.epochs) == (kind, lr, decay, epochs)
    # 4 GPUs x 32 samples; divided by ten, twice, when the validation loss has stopped falling.
    assert optim.batch_size == 128
    assert optim.schedule is ScheduleKind.plateau


def assert_paper(config: Config, *, queue: int, init: int, cross: int) -> None:
    assert (config.clip.frames, config.clip.size, config.motion.size) == (32, 128, 128)
    assert config.backbone == S3D.Config(width=1.0)
    assert config.views == settings("rgb", "mv")
    method = config.method
    assert method == MVCGC.Config(
        tau=0.07, queue=queue, momentum=0.999, dim=128, init=True, k=5, mining=Mining.intersection
    )
    assert_optim(config.init, OptimKind.adam, 1e-4, 1e-5, init)
    assert_optim(config.cross, OptimKind.adam, 1e-4, 1e-5, cross)
    linear, finetune = (config.downstream.kinds[task] for task in ("linear", "finetune"))
    assert_optim(linear, OptimKind.sgd, 1e-1, 1e-3, 100)
    assert_optim(finetune, OptimKind.sgd, 1e-1, 1e-3, 500)
    assert (linear.momentum, linear.draws, finetune.dropout) == (0.9, 100, 0.9)
    assert (config.downstream.test.crops, config.downstream.test.windows) == (10, 0)
    augment = config.augment
    assert isinstance(augment, CoCLRAugmentation.Config)
    assert (augment.area, augment.jitter) == ([0.2, 1.0], [0.4, 0.4, 0.4, 0.1])
    chances = (augment.flip, augment.jitter_p, augment.grey_p, augment.blur_p)
    assert chances == (0.5, 0.8, 0.2, 0.5)
    assert (augment.same_time_p, augment.strong_p) == (0.5, 0.3)
    probe = config.downstream.augment
    assert isinstance(probe, Probe.Config)
    assert (probe.area, probe.flip) == ([0.2, 1.0], 0.5)
    assert (probe.jitter_p, probe.grey_p, probe.blur_p) == (0.3, 0, 0)
    resources = config.resources
    assert (resources["init"].ranks, resources["init"].gpus, resources["cross"].ranks) == (4, 1, 4)
    assert {*resources} == {"init", "cross", "default", *config.downstream.kinds}


def test_scale_ucf101_is_the_paper(composed: Composer) -> None:
    config = composed.compose(["scale=ucf101"])
    assert_paper(config, queue=2048, init=300, cross=200)
    assert config.dataset.part is UCF101
    assert config.sweep.motion_sizes == [128, 64, 32]


def test_scale_k400_is_the_paper(composed: Composer) -> None:
    config = composed.compose(["scale=k400"])
    assert_paper(config, queue=16384, init=200, cross=50)
    assert config.dataset.part is K400


def test_the_demo_changes_both_clips_and_keeps_what_classifiers_see_weak(composed: Composer) -> None:
    config = composed.compose([])
    assert isinstance(config.augment, Photometric.Config)
    assert (config.augment.jitter_p, config.augment.same_time_p) == (0.8, 0.0)
    assert isinstance(config.downstream.augment, Probe.Config)
    assert config.augment.area == config.downstream.augment.area == [0.4, 1.0]


def test_a_scales_augmentation_can_be_replaced(composed: Composer) -> None:
    given = ["scale=ucf101", "augment=strong", "augment.blur_p=0.1", "downstream.augment.jitter_p=0.2"]
    config = composed.compose(given)
    assert config.augment == Photometric.Config(blur_p=0.1)
    assert config.downstream.augment == Probe.Config(jitter_p=0.2)


def test_dataset_and_scale_choose_each_other_unless_both_are_given(composed: Composer) -> None:
    both = composed.compose(["dataset=ucf101", "scale=demo"])
    assert both.dataset.part is UCF101
    assert both.clip == composed.compose([]).clip
    assert composed.compose(["dataset=hmdb51", "scale=ucf101"]).cross.epochs == 200


def test_a_folder_takes_a_few_steps_on_a_handful_of_files_and_evaluates_nothing(composed: Composer) -> None:
    config = composed.compose(["dataset=folder", "dataset.root=/videos"])
    assert config.dataset.root == "/videos"
    assert config.init.batch_size == config.cross.batch_size <= 4
    assert config.init.epochs <= 2
    assert config.method.queue <= 16
    assert config.downstream.tasks == []


def test_a_folder_can_be_trained_on_in_earnest(composed: Composer) -> None:
    config = composed.compose(["dataset=folder", "dataset.root=/videos", "scale=ucf101", "downstream=full"])
    assert config.cross.epochs == 200
    assert config.downstream.tasks == ["linear", "finetune", "retrieve"]


@pytest.mark.parametrize(
    ("option", "method", "differs"),
    [
        ("init", InitOnly, {}),
        ("infonce", InfoNCE, {}),
        ("cmc", CMC, {}),
        ("coclr", CoCLR, {"cycles": 2}),
        ("mvcgc", MVCGC, {}),
        ("mvcgc_union", MVCGC, {"mining": Mining.union}),
        ("mvcgc_no_init", MVCGC, {"init": False}),
        ("uber", UberNCE, {}),
        ("none", GivenOnly, {}),
        ("random", Untrained, {}),
    ],
)
def test_methods_differ_in_what_their_names_say(
    composed: Composer, option: str, method: type[Method], differs: dict[str, object]
) -> None:
    common = {"tau": 0.07, "queue": 64, "momentum": 0.99, "dim": 64}  # those of scale=demo
    assert composed.compose([f"method={option}"]).method == method.Config(**common, **differs)


@pytest.mark.parametrize(
    ("option", "backbone"),
    [
        ("s3d", S3D.Config()),
        ("r2plus1d_18", R2Plus1D18.Config()),
        ("r3d_18", R3D18.Config()),
        ("r2plus1d_4", R2Plus1D4.Config()),
        ("demo", R2Plus1D4.Config(width=0.25)),
    ],
)
def test_a_backbone_is_the_same_at_every_scale(
    composed: Composer, option: str, backbone: BackboneConfig
) -> None:
    for scale in ("demo", "ucf101"):
        assert composed.compose([f"scale={scale}", f"backbone={option}"]).backbone == backbone
    half = composed.compose([f"backbone={option}", "backbone.width=0.5"]).backbone
    assert half == replace(backbone, width=0.5)


def test_the_demo_has_a_network_of_its_own(composed: Composer) -> None:
    assert composed.compose([]).backbone == R2Plus1D4.Config(width=0.25)


def test_the_method_keeps_the_scales_queue(composed: Composer) -> None:
    assert composed.compose(["method=coclr", "scale=k400"]).method.queue == 16384


def test_root_and_data_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from mvcgc.config import compose

    monkeypatch.setenv("MVCGC_ROOT", "/scratch/runs")
    monkeypatch.setenv("MVCGC_DATA", "/data")
    assert compose([]).root == "/scratch/runs"
    assert compose([]).dataset.root == "/scratch/runs/data/demo"
    assert compose(["scale=ucf101"]).dataset.root == "/data/ucf101"


@pytest.mark.parametrize("name", ["sweeps", "slurm"])
def test_folders_at_the_top_of_the_tree_are_groups(name: str) -> None:
    # Links in the tree; a wheel, which follows them, holds copies.
    assert (CONF / name).samefile(CONF.parents[1] / name)
