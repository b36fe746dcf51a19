"""Where a class is seen, on real, tiny files, encoders of random weights and a trained probe."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import evaluate_factories as standin
import numpy as np
import pytest
import torch
from evaluate_factories import LINEAR

from mvcgc.data.clips.dataset import Source, WindowDataset
from mvcgc.data.clips.modalities import built_in, settings
from mvcgc.data.clips.sampling import MotionConfig
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.loading.loader import read
from mvcgc.errors import UserError
from mvcgc.models.classifier import Probe
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.journal import JournalWriter, Tail
from mvcgc.stages.activation import Activation, ActivationConfig, ActivationSpec, choose, class_map
from mvcgc.stages.context import Result
from mvcgc.train import Interrupted, StopFlag
from mvcgc.video import Matrix, to_rgb

SPEC = ActivationSpec(
    views=["rgb", "mv"],
    modalities=settings(),
    dataset=LINEAR.dataset,
    clip=LINEAR.clip,
    motion=LINEAR.motion,
    backbone=LINEAR.backbone,
    task=ActivationConfig(videos=3),
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, encoders, and the linear probes on them."""
    folder = tmp_path_factory.mktemp("activation")
    standin.make_encoders(folder / "encoders")
    manifest = standin.make_dataset(folder)
    standin.evaluated(folder / "linear", manifest, folder / "encoders", LINEAR)
    return folder


@pytest.fixture(scope="module")
def manifest(lab: Path) -> Manifest:
    return standin.make_manifest_of(lab)


def looked(
    folder: Path, lab: Path, manifest: Manifest, spec: ActivationSpec, stop: StopFlag | None = None
) -> Result:
    with JournalWriter(folder / "journal", 1) as journal:
        context = standin.context_of(folder, manifest, lab / "encoders", journal, stop)
        parents = {**context.parents, "linear": StageFolder(lab / "linear")}
        return Activation.run(replace(context, parents=parents), spec)


def saved(folder: Path) -> dict[str, Any]:
    with np.load(folder / "activation.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


def test_a_map_is_the_probe_at_every_position() -> None:
    torch.manual_seed(0)
    probe = Probe(5, 3)
    probe(torch.randn(64, 5) * 3 + 1)  # statistics that are not neutral
    torch.nn.init.normal_(probe.linear.bias)
    probe.eval()
    features = torch.rand(2, 5, 2, 3, 4)
    with torch.no_grad():
        found = class_map(probe, features)
        assert found.shape == (2, 3, 2, 3, 4)
        length = features.mean(dim=(2, 3, 4)).norm(dim=1, keepdim=True)
        for t, y, x in ((0, 0, 0), (1, 2, 3), (1, 0, 2)):
            logits = probe.linear(probe.norm(features[:, :, t, y, x] / length))
            torch.testing.assert_close(found[:, :, t, y, x], logits)
        torch.testing.assert_close(found.mean(dim=(2, 3, 4)), probe(features.mean(dim=(2, 3, 4))))


def test_what_a_stage_leaves(tmp_path: Path, lab: Path, manifest: Manifest) -> None:
    result = looked(tmp_path / "stage", lab, manifest, SPEC)
    arrays = saved(tmp_path / "stage")
    assert arrays["names"].tolist() == ["left/2.avi", "right/2.avi", "down/2.avi"]
    assert arrays["labels"].tolist() == [0, 1, 2]
    assert arrays["classes"].tolist() == manifest.classes
    assert (arrays["frame"].shape, arrays["frame"].dtype) == ((3, 32, 32, 3), np.uint8)
    # The very clip that the probe's own test shows where it has one crop and one window.
    once = replace(LINEAR, test=replace(LINEAR.test, crops=1, windows=1))
    standin.evaluated(tmp_path / "once", manifest, lab / "encoders", once)
    with np.load(tmp_path / "once" / "predictions.npz") as predictions:
        order = [predictions["names"].tolist().index(name) for name in arrays["names"]]
        for view in ("rgb", "mv"):
            expected = predictions[view][order, arrays["labels"]]
            np.testing.assert_allclose(arrays[f"score_{view}"], expected, rtol=1e-3)
    ids = {video.path: number for number, video in enumerate(manifest.videos)}
    for row, name in enumerate(arrays["names"]):
        source = Source(manifest, [ids[name]], built_in("rgb"), SPEC.clip, MotionConfig())
        dataset = WindowDataset(source, 1, 1)
        planes = read([dataset.item(dataset.plan(0)[0])]).views["rgb"][0, 0].numpy()
        np.testing.assert_array_equal(arrays["frame"][row], to_rgb(planes[:, 4], Matrix.BT601))
    for view in ("rgb", "mv"):
        assert arrays[f"map_{view}"].dtype == np.float32
        assert arrays[f"map_{view}"].shape == (3, 1, 1)  # 32 pixels
        assert result.metrics[f"score_{view}"] == pytest.approx(100 * arrays[f"score_{view}"].mean())
    assert result.outputs == [Path("activation.npz")]
    progress = Tail(tmp_path / "stage" / "journal").poll()
    assert (progress.step, progress.total_steps) == (3, 3)


def test_motion_alone_shows_pictures_too_and_larger_clips_more_places(
    tmp_path: Path, lab: Path, manifest: Manifest
) -> None:
    assert SPEC.motion is not None
    spec = replace(SPEC, views=["mv"], motion=replace(SPEC.motion, size=64), task=ActivationConfig(1))
    looked(tmp_path / "stage", lab, manifest, spec)
    arrays = saved(tmp_path / "stage")
    assert set(arrays) == {"names", "labels", "classes", "frame", "map_mv", "score_mv"}
    assert arrays["map_mv"].shape == (1, 2, 2)
    assert arrays["frame"].shape == (1, 32, 32, 3)
    assert len(np.unique(arrays["map_mv"])) == 4


def test_a_stop_is_heard_between_videos(tmp_path: Path, lab: Path, manifest: Manifest) -> None:
    stop = StopFlag()
    stop.raise_flag(15)
    with pytest.raises(Interrupted):
        looked(tmp_path / "stage", lab, manifest, SPEC, stop)
    assert not (tmp_path / "stage" / "activation.npz").exists()


class TestChoice:
    def paths(self, manifest: Manifest, config: ActivationConfig) -> list[str]:
        return [manifest.videos[number].path for number in choose(manifest, config)]

    def test_one_of_each_class_far_apart(self, manifest: Manifest) -> None:
        assert self.paths(manifest, ActivationConfig(3)) == ["left/2.avi", "right/2.avi", "down/2.avi"]
        assert self.paths(manifest, ActivationConfig(1)) == ["right/2.avi"]

    def test_several_of_each_class_where_there_are_few(self, manifest: Manifest) -> None:
        whole = replace(manifest, videos=[replace(video, part="test") for video in manifest.videos])
        found = self.paths(whole, ActivationConfig(7))
        assert [path.partition("/")[0] for path in found] == [*2 * ["left"], *3 * ["right"], *2 * ["down"]]
        assert found[:2] == ["left/1.avi", "left/3.avi"]
        assert len(self.paths(whole, ActivationConfig(100))) == 12

    def test_by_name_in_their_order(self, manifest: Manifest) -> None:
        names = ["right/2.avi", "down/2.avi"]
        assert self.paths(manifest, ActivationConfig(names=names)) == names

    def test_what_is_no_test_video(self, manifest: Manifest) -> None:
        with pytest.raises(UserError, match=r"activation\.names: left/0\.avi is no test video of tiny"):
            choose(manifest, ActivationConfig(names=["left/0.avi"]))

    @pytest.mark.parametrize(
        ("values", "line"),
        [({"videos": 0}, "activation.videos=0: "), ({"names": ["a", "a"]}, "activation.names=")],
    )
    def test_mistakes(self, values: dict[str, Any], line: str) -> None:
        with pytest.raises(UserError, match=line):
            ActivationConfig(**values)
