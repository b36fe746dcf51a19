"""The typed specification: there and back, and what it refuses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.modalities import settings
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.method.coclr import CoCLR
from mvcgc.method.infonce import InfoNCE
from mvcgc.method.init_only import InitOnly
from mvcgc.models.resnet3d import R3D18
from mvcgc.runs.fingerprint import plain
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.evaluate.spec import TestConfig
from mvcgc.stages.pretrain.spec import PretrainSpec
from mvcgc.stages.spec import Runtime, StageConfig, StageDataset, read_spec
from mvcgc.train import OptimConfig, ScheduleKind

SPEC = PretrainSpec(
    views=["rgb", "mv"],
    modalities=settings(),
    dataset=StageDataset("small", mestimate=True),
    clip=ClipConfig(),
    motion=MotionConfig(cell=16),
    augment=Photometric.Config(),
    backbone=R3D18.Config(),
    method=CoCLR.Config(cycles=3),
    optim=OptimConfig(schedule=ScheduleKind.cosine, epochs=6),
    seed=4,
)


def config(**changes: Any) -> StageConfig:
    values = {
        "name": "cross",
        "kind": "cross",
        "program": "mvcgc.stages.pretrain.kind.Cross",
        "fingerprint": "0123456789abcdef",
        "code_version": 1,
        "spec": plain(SPEC),
        "dataset_digest": "abc",
        "parents": {"rgb": "/somewhere"},
        "runtime": Runtime(device=Device.cpu, workers=2),
    }
    return StageConfig(**{**values, **changes})


def test_there_and_back(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "cross-0123456789abcdef")
    config().write(folder)
    back = StageConfig.read(folder)
    assert back == config()
    assert read_spec(back, PretrainSpec, folder) == SPEC


def test_no_motion_is_none_there_and_back(tmp_path: Path) -> None:
    alone = replace(SPEC, views=["rgb"], motion=None, method=InfoNCE.Config())
    folder = StageFolder(tmp_path / "cross-0123456789abcdef")
    config(spec=plain(alone)).write(folder)
    assert read_spec(StageConfig.read(folder), PretrainSpec, folder) == alone


def test_file_is_plain_yaml_without_tags(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "cross-0123456789abcdef")
    config().write(folder)
    text = folder.config.read_text()
    assert "!" not in text
    assert yaml.safe_load(text)["runtime"]["device"] == "cpu"
    assert text.startswith("name: cross\nkind: cross\nprogram: mvcgc.stages.pretrain.kind.Cross\n")


@pytest.mark.parametrize("content", [None, "[1, 2", "just text", "name: cross\n"])
def test_unreadable_config_is_the_users(tmp_path: Path, content: str | None) -> None:
    folder = StageFolder(tmp_path)
    if content is not None:
        folder.config.write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml") as caught:
        StageConfig.read(folder)
    assert "\n" not in str(caught.value)


def test_every_wrong_key_is_named(tmp_path: Path) -> None:
    wrong = plain(SPEC)
    wrong["optim"]["speed"] = 1
    wrong["method"]["k"] = "many"
    with pytest.raises(UserError) as caught:
        read_spec(config(spec=wrong), PretrainSpec, StageFolder(tmp_path))
    message = str(caught.value)
    assert "speed" in message
    assert "$.method.k" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": ["rgb", "sound"]}, "no view 'sound'"),
        ({"views": ["rgb"], "motion": None}, r"method=coclr compares 2 views, views=\[rgb\] has 1"),
        ({"views": ["rgb", "mv"], "motion": None}, "motion=None does not go with views"),
        ({"views": ["rgb", "rgb"]}, "different views"),
        ({"clip": ClipConfig(frames=4)}, "clip.frames=4: backbone=r3d_18 needs 8 frames"),
        ({"clip": ClipConfig(size=16)}, "clip.size=16: backbone=r3d_18 needs 32 pixels"),
        ({"motion": MotionConfig(size=16)}, "motion.size=16: backbone=r3d_18 needs 32 pixels"),
        ({"method": InitOnly.Config()}, "method=init: has no second stage to train"),
        ({"method": CoCLR.Config(cycles=4)}, "takes 8 epochs at least"),
    ],
)
def test_pretrain_spec_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(SPEC, **changes)


@pytest.mark.parametrize(
    "values", [{"ranks": 0}, {"cpus": 0}, {"log_every": 0}, {"workers": -1}, {"checkpoint_every_s": -1.0}]
)
def test_runtime_refuses(values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"runtime.{next(iter(values))}="):
        Runtime(**values)


@pytest.mark.parametrize("values", [{"crops": 5}, {"windows": -1}])
def test_test_config_refuses(values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"test.{next(iter(values))}="):
        TestConfig(**values)
