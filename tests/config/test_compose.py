"""Composition: the same as Hydra's own, faster, and without memory of earlier rows."""

import time
from typing import Any

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from mvcgc.config import Composer, Config, compose
from mvcgc.config.compose import COMPONENTS, CONFIG_NAME
from mvcgc.config.slots import downstream, settle
from mvcgc.errors import UserError

COMBINATIONS = [
    ["method=coclr", "method.k=7", "seed=3"],
    ["scale=ucf101", "dataset=hmdb51", "cross.lr=1e-3", "views=rgb_flow"],
    [
        "root=/elsewhere",
        "clip.size=40",
        "motion.size=${clip.size}",
        "downstream.tasks=[retrieve]",
        "augment.area=[0.5,1.0]",
        "name='a, b'",
    ],
    ["sweeps=ablation_mv_resolution", "sweep.motion_sizes=[96,64,48]"],
    ["downstream=ucf101_hmdb51", "downstream.linear.draws=7", "downstream.datasets.hmdb51.split=2"],
]


def plain_of(node: Any) -> Any:
    return OmegaConf.to_object(node) if OmegaConf.is_config(node) else node


@pytest.mark.parametrize("overrides", COMBINATIONS, ids=" ".join)
def test_composes_what_hydra_composes(composed: Composer, overrides: list[str]) -> None:
    whole = composed._loader.load_configuration(CONFIG_NAME, overrides, run_mode=RunMode.RUN)
    settle(whole)
    expected = {name: plain_of(whole[name]) for name in COMPONENTS}
    expected["downstream"] = downstream({name: plain_of(node) for name, node in whole.downstream.items()})
    for _ in range(2):  # the second time from what it remembers
        config = composed.compose(overrides)
        assert {name: getattr(config, name) for name in COMPONENTS} == expected


def test_a_row_leaves_no_trace_in_the_next(composed: Composer) -> None:
    before = composed.compose([])
    composed.compose(["method.k=9", "root=/other", "cross.lr=0.5", "method.tau=0.5", "views=mv"])
    with pytest.raises(UserError):
        composed.compose(["method.k=9", "method.tau=-1"])
    with pytest.raises(UserError):
        composed.compose(["method.k=9", "method.tau=warm"])
    assert composed.compose([]) == before
    assert composed.compose(["seed=1"]).dataset.root == "runs/data/demo"


def test_later_overrides_win(composed: Composer) -> None:
    config = composed.compose(["method=coclr", "method.k=3", "method=mvcgc", "method.k=4"])
    assert (config.method.part.label, config.method.k) == ("mvcgc", 4)


def test_equal_parts_are_one_object(composed: Composer) -> None:
    # Planning recognises parts that rows share by their identity.
    one, other = composed.compose(["seed=1"]), composed.compose(["seed=2"])
    assert one.method is other.method
    assert one.seed != other.seed


def test_a_row_more_takes_milliseconds(composed: Composer) -> None:
    composed.compose(["method=mvcgc", "method.k=1"])
    start = time.process_time()
    for number in range(100):
        composed.compose(["method=mvcgc", f"method.k={number + 2}", f"seed={number}"])
    assert time.process_time() - start < 2.0  # Hydra's own composition takes more than 10 s for as many


@pytest.mark.parametrize(
    "overrides",
    [
        ["init.weights.rgb=a", "init.weights.mv=b"],
        ["init.weights={rgb:a,mv:b}"],
        ["init.weights={mv:b,rgb:a}"],
    ],
)
def test_weights_are_given_by_view(composed: Composer, overrides: list[str]) -> None:
    assert composed.compose(overrides).init.weights == {"rgb": "a", "mv": "b"}
    assert composed.compose(overrides[:1]).init.weights.keys() <= {"rgb", "mv"}
    # A row leaves no trace in the next: not even an empty key.
    assert composed.compose(["init.lr=0.5"]).init.weights == {}
    assert composed.compose(["init.lr=0.5", "init.weights.mv=c"]).init.weights == {"mv": "c"}
    assert composed.compose([]).init.weights == {}


def test_weights_are_of_known_views(composed: Composer) -> None:
    config = composed.compose(["init.weights.rbg=a"])
    with pytest.raises(UserError, match=r"init\.weights.*rbg"):
        config.experiment  # noqa: B018 - a property that checks
    with pytest.raises(UserError, match=r"cross\.weights\.rgb"):
        composed.compose(["cross.weights.rgb=a"])


def test_is_a_plain_dataclass(composed: Composer) -> None:
    config = composed.compose([])
    assert type(config) is Config
    assert type(config.views) is dict
    assert type(config.downstream.datasets) is dict


def test_compose_needs_no_hydra_program() -> None:
    assert compose(["seed=5"]).seed == 5


def test_lists_are_set_whole(composed: Composer) -> None:
    with pytest.raises(UserError, match=r"augment.area.0=0.3: give the whole list, augment.area=\[...\]"):
        composed.compose(["augment.area.0=0.3"])
