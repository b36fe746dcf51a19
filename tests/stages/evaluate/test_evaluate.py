"""Evaluation of real, tiny files: against slow averages, on two ranks, and across interruptions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import evaluate_factories as standin
import numpy as np
import pytest
import torch
from evaluate_factories import FINETUNE, LINEAR, SPEC, evaluated
from real_processes import on_two_ranks
from torch import Tensor

from mvcgc.data.clips.motion import crop_motion, motion_field
from mvcgc.data.clips.sampling import ClipConfig, windows
from mvcgc.data.index.manifest import Manifest, Rejected
from mvcgc.errors import UserError
from mvcgc.models import pool_map
from mvcgc.models.classifier import Classifier, Probe
from mvcgc.runs import journal
from mvcgc.runs.fingerprint import plain
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.context import Result
from mvcgc.stages.evaluate import classify
from mvcgc.stages.evaluate.kinds import Protocol, Retrieve
from mvcgc.stages.evaluate.setup import Bench
from mvcgc.stages.evaluate.spec import EvaluateSpec, TestConfig
from mvcgc.stages.spec import StageConfig, read_spec
from mvcgc.train import Interrupted, StopFlag
from mvcgc.video import Box, ClipRequest, Reader
from mvcgc.video.colour import weights

COMPLETENESS = ("test_videos", "test_padded", "test_missing")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, its manifest and encoders."""
    folder = tmp_path_factory.mktemp("lab")
    standin.make_encoders(folder / "encoders")
    manifest = standin.make_dataset(folder)
    standin.context_of(folder / "none", manifest, folder / "encoders")
    return folder


@pytest.fixture(scope="module")
def manifest(lab: Path) -> Manifest:
    return standin.make_manifest_of(lab)


@pytest.fixture(scope="module")
def results(lab: Path, manifest: Manifest) -> dict[str, Result]:
    """Each task, on one rank; what it leaves is in the folder of its name."""
    return {
        spec.task.part.label: evaluated(lab / spec.task.part.label, manifest, lab / "encoders", spec)
        for spec in (SPEC, LINEAR, FINETUNE)
    }


def saved(folder: Path, name: str) -> dict[str, Any]:
    with np.load(folder / name) as arrays:
        return {key: arrays[key] for key in arrays.files}


def slow_clips(manifest: Manifest, number: int, spec: EvaluateSpec) -> list[dict[str, Tensor]]:
    """The network's inputs for every crop of every window of a video, read one by one."""
    video, clips = manifest.videos[number], []
    width, height, side = standin.WIDTH, standin.HEIGHT, 42  # 0.875 of the short side
    right, bottom = width - side, height - side
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    centre = [(bottom // 2 // 2 * 2, right // 2 // 2 * 2)]
    for start in windows(video.info.frames, 8, spec.test.windows):
        for top, left in corners + centre if spec.test.crops == 10 else centre:
            box = Box(top, left, side, side)
            with Reader(manifest.root / video.path, video.info) as reader:
                (clip,) = reader.read([ClipRequest(start, 8, box, (32, 32))], motion=True)
            factors = np.array(weights(clip.matrix))
            rgb = np.tensordot(factors[:, :3], clip.planes, 1) + factors[:, 3, None, None, None]
            rgb = torch.from_numpy(rgb.clip(0, 1)).float()
            mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            rgb = (rgb - mean.view(3, 1, 1, 1)) / std.view(3, 1, 1, 1)
            vectors = np.empty((8, 32, 32, 2), np.float16)
            crop_motion(motion_field(clip, 8), 8, box, vectors)
            mv = torch.from_numpy(vectors).float().permute(3, 0, 1, 2)
            mv = (mv * (128 / 32)).clamp(-20, 20) / 4
            clips.append({"rgb": rgb[None], "mv": mv[None]})
            if spec.test.crops == 10:
                mirrored = mv.flip(-1)
                mirrored[0] *= -1
                clips.append({"rgb": rgb.flip(-1)[None], "mv": mirrored[None]})
    return clips


def test_features_are_the_average_over_ten_crops_and_windows(
    lab: Path, manifest: Manifest, results: dict[str, Result]
) -> None:
    features = saved(lab / "retrieve", "features.npz")
    assert features["names"].tolist() == [video.path for video in manifest.videos]
    assert features["labels"].tolist() == [video.label for video in manifest.videos]
    bench = Bench(standin.context_of(lab / "none", manifest, lab / "encoders"), SPEC, manifest)
    for number in (1, 6):
        clips = slow_clips(manifest, number, SPEC)
        assert len(clips) == 20
        for view, backbone in bench.backbones().items():
            with torch.no_grad():
                expected = sum(pool_map(backbone(clip[view])[:1])[0] for clip in clips) / len(clips)
            found = torch.from_numpy(features[view][number])
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_recall_is_that_of_the_saved_features(
    lab: Path, manifest: Manifest, results: dict[str, Result]
) -> None:
    features, metrics = saved(lab / "retrieve", "features.npz"), results["retrieve"].metrics
    ranks = saved(lab / "retrieve", "ranks.npz")
    assert ranks["names"].tolist() == [manifest.videos[number].path for number in manifest.ids("test")]
    assert ranks["labels"].tolist() == [manifest.videos[number].label for number in manifest.ids("test")]
    for prefix, part in (("", "test"), ("val_", "val")):
        for (name, k), hits in slow_hits(manifest, features, part, centred=False).items():
            assert metrics[f"{prefix}r{k}_{name}"] == pytest.approx(100 * np.mean(hits)), (name, k)
            if part == "test":
                assert (ranks[name] < k).tolist() == hits


def slow_hits(
    manifest: Manifest, features: dict[str, Any], part: str, *, centred: bool
) -> dict[tuple[str, int], list[bool]]:
    """Return, by view and k, whether one of the k nearest training videos is of the query's class."""
    queries, train = manifest.ids(part), manifest.ids("train")
    cosines = {}
    for view in ("rgb", "mv"):
        asked, known = features[view][queries], features[view][train]
        if centred:
            asked, known = asked - asked.mean(axis=0), known - known.mean(axis=0)
        lengths = (np.linalg.norm(values, axis=1, keepdims=True) for values in (asked, known))
        asked, known = (values / length for values, length in zip((asked, known), lengths, strict=True))
        cosines[view] = asked @ known.T
    cosines["both"] = cosines["rgb"] + cosines["mv"]  # concatenation is the sum of the cosines
    label = [video.label for video in manifest.videos]
    return {
        (name, k): [
            any(label[train[other]] == label[query] for other in np.argsort(-row, kind="stable")[:k])
            for query, row in zip(queries, cosine, strict=True)
        ]
        for name, cosine in cosines.items()
        for k in (1, 5, 10, 20, 50)
    }


def test_the_protocol_of_coclr_centres_averages_of_normalised_features_of_one_crop(
    lab: Path, manifest: Manifest, tmp_path: Path
) -> None:
    spec = replace(SPEC, task=Retrieve.Config(Protocol.coclr))
    metrics = evaluated(tmp_path / "stage", manifest, lab / "encoders", spec).metrics
    features = saved(tmp_path / "stage", "features.npz")
    for (name, k), hits in slow_hits(manifest, features, "test", centred=True).items():
        assert metrics[f"r{k}_{name}"] == pytest.approx(100 * np.mean(hits)), (name, k)
    once = replace(spec, test=TestConfig(crops=1, windows=2))
    backbones = Bench(
        standin.context_of(lab / "none", manifest, lab / "encoders"), spec, manifest
    ).backbones()
    clips = slow_clips(manifest, 1, once)
    assert len(clips) == 2
    for view, backbone in backbones.items():
        with torch.no_grad():
            rows = [pool_map(backbone(clip[view]))[0].numpy() for clip in clips]
        expected = np.mean([row / np.linalg.norm(row) for row in rows], axis=0)
        np.testing.assert_allclose(features[view][1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("spec", [LINEAR, FINETUNE], ids=lambda spec: spec.task.part.label)
def test_probabilities_are_averaged_over_clips_and_views(
    lab: Path, manifest: Manifest, results: dict[str, Result], spec: EvaluateSpec
) -> None:
    folder, metrics = lab / spec.task.part.label, results[spec.task.part.label].metrics
    predictions = saved(folder, "predictions.npz")
    test = manifest.ids("test")
    assert predictions["names"].tolist() == [manifest.videos[number].path for number in test]
    np.testing.assert_allclose(predictions["both"], (predictions["rgb"] + predictions["mv"]) / 2, atol=1e-6)
    bench = Bench(standin.context_of(lab / "none", manifest, lab / "encoders"), spec, manifest)
    for view, backbone in bench.backbones().items():
        if spec is LINEAR:
            head = Probe(backbone.dim, 3)
            head.load_state_dict(torch.load(folder / f"probe_{view}.pt"))
            network = torch.nn.Sequential(backbone, torch.nn.AdaptiveAvgPool3d(1), torch.nn.Flatten(), head)
        else:
            network = Classifier(backbone, 3, dropout=0.0)
            network.load_state_dict(torch.load(folder / f"network_{view}.pt"))
        network.eval()
        for row, number in enumerate(test):
            clips = slow_clips(manifest, number, spec)
            with torch.no_grad():
                expected = sum(network(clip[view]).softmax(dim=1)[0] for clip in clips) / len(clips)
            torch.testing.assert_close(
                torch.from_numpy(predictions[view][row]), expected, rtol=1e-3, atol=1e-4
            )
    for name in ("rgb", "mv", "both"):
        right = predictions[name].argmax(axis=1) == predictions["labels"]
        assert metrics[f"top1_{name}"] == pytest.approx(100 * right.mean())
        assert f"val_top1_{name}" in metrics
        assert f"top5_{name}" not in metrics  # of three classes


def test_probe_leaves_and_finetuning_changes_the_backbone(lab: Path, results: dict[str, Result]) -> None:
    start = torch.load(lab / "encoders" / "encoder_mv.pt")
    tuned = torch.load(lab / "finetune" / "network_mv.pt")
    weights = [name for name in tuned if name.startswith("backbone") and name.endswith("0.weight")]
    assert all(not torch.equal(tuned[name], start[name]) for name in weights)
    assert set(torch.load(lab / "linear" / "probe_mv.pt")) == set(Probe(4, 3).state_dict())


def test_two_ranks_find_what_one_finds(
    lab: Path, manifest: Manifest, results: dict[str, Result], tmp_path: Path
) -> None:
    """Three test videos among two ranks: neither is one counted twice, nor one left out."""
    for name in ("encoders", "manifests"):
        (tmp_path / name).symlink_to(lab / name)
    found = on_two_ranks(standin.on_two_ranks, tmp_path)
    assert found[0] == found[1]
    for task in ("retrieve", "linear"):
        assert found[0][task] == results[task].metrics
        name = "features.npz" if task == "retrieve" else "predictions.npz"
        one, two = saved(lab / task, name), saved(tmp_path / task, name)
        assert one["names"].tolist() == two["names"].tolist()
        for key in one.keys() - {"names", "labels"}:
            np.testing.assert_allclose(two[key], one[key], rtol=1e-3, atol=1e-4)
    assert set(found[0]["finetune"]) == {"top1_rgb", "val_top1_rgb", *COMPLETENESS}
    assert len(saved(tmp_path / "finetune", "predictions.npz")["names"]) == 3


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("stopped_in", ["rgb", "mv"])
def test_an_interrupted_probe_goes_on_as_if_nothing_had_been(
    lab: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: str
) -> None:
    flag, loaders = StopFlag(), []

    class Stopping(classify.FeatureLoader):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            loaders.append(self)

        def epoch(self, epoch: int, step: int) -> Any:
            if epoch == 3 and len(loaders) == 1 + ("rgb", "mv").index(stopped_in):
                flag.raise_flag(15)
            return super().epoch(epoch, step)

    folder = tmp_path / "linear"
    with monkeypatch.context() as patch:
        patch.setattr(classify, "FeatureLoader", Stopping)
        with pytest.raises(Interrupted, match="SIGTERM"):
            evaluated(folder, manifest, lab / "encoders", LINEAR, stop=flag)
    assert not (folder / "predictions.npz").exists()

    def shown(*arguments: Any) -> None:
        raise AssertionError("the training clips are shown again")

    with monkeypatch.context() as patch:
        patch.setattr(Bench, "draws", replace_dataset(Bench.draws, shown))
        evaluated(folder, manifest, lab / "encoders", LINEAR, attempt=2)
    for key, value in saved(folder, "predictions.npz").items():
        assert np.array_equal(value, saved(lab / "linear", "predictions.npz")[key]), key
    whole, folded = (journal.read(where / "journal") for where in (lab / "linear", folder))
    for name in ("loss_rgb", "loss_mv", "val_loss_rgb", "val_loss_mv", "top1_rgb", "top1_both"):
        points = [[(point.step, point.value) for point in each.points[name]] for each in (whole, folded)]
        assert points[0] == points[1], name
    assert not list((folder / "checkpoint").glob("pass-*"))


def replace_dataset(make: Any, instead: Any) -> Any:
    def wrapped(*arguments: Any) -> Any:
        return replace(make(*arguments), dataset=instead)

    return wrapped


def test_a_dataset_without_classes_is_refused(lab: Path, manifest: Manifest, tmp_path: Path) -> None:
    unlabelled = replace(manifest, videos=[replace(video, label=-1) for video in manifest.videos])
    with pytest.raises(UserError, match=r"dataset\.name=tiny: its videos have no classes"):
        evaluated(tmp_path / "stage", unlabelled, lab / "encoders", SPEC)


def test_a_dataset_without_test_videos_is_refused(lab: Path, manifest: Manifest, tmp_path: Path) -> None:
    kept = replace(manifest, videos=[video for video in manifest.videos if video.part != "test"])
    with pytest.raises(UserError, match="the test split of tiny has no usable video"):
        evaluated(tmp_path / "stage", kept, lab / "encoders", SPEC)


def test_a_plateau_needs_a_validation_part(lab: Path, manifest: Manifest, tmp_path: Path) -> None:
    kept = replace(manifest, videos=[video for video in manifest.videos if video.part != "val"])
    with pytest.raises(UserError, match=r"optim\.schedule=plateau: tiny has no validation part"):
        evaluated(tmp_path / "stage", kept, lab / "encoders", LINEAR)


def test_without_a_validation_part_only_the_test_is_reported(
    lab: Path, manifest: Manifest, tmp_path: Path
) -> None:
    kept = replace(manifest, videos=[video for video in manifest.videos if video.part != "val"])
    spec = replace(SPEC, views=["mv"], test=TestConfig(crops=1, windows=1))
    metrics = evaluated(tmp_path / "stage", kept, lab / "encoders", spec).metrics
    assert set(metrics) == {*(f"r{k}_mv" for k in (1, 5, 10, 20, 50)), *COMPLETENESS}


def test_short_videos_are_tested_and_padded_and_missing_ones_counted(
    lab: Path, manifest: Manifest, tmp_path: Path
) -> None:
    lost = [Rejected("left/9.avi", part, "unreadable", "torn") for part in ("test", "train")]
    kept = replace(manifest, rejected=lost)
    spec = replace(SPEC, clip=ClipConfig(18, 32), test=TestConfig(crops=1, windows=0))
    metrics = evaluated(tmp_path / "stage", kept, lab / "encoders", spec).metrics
    lengths = [video.info.frames for video in manifest.part("test")]
    assert 0 < sum(length < 18 for length in lengths) <= len(lengths)
    assert [metrics[name] for name in COMPLETENESS] == [3, sum(length < 18 for length in lengths), 1]


@pytest.mark.parametrize("spec", [LINEAR, FINETUNE], ids=lambda spec: spec.task.part.label)
def test_a_batch_larger_than_the_dataset_is_refused(
    lab: Path, manifest: Manifest, tmp_path: Path, spec: EvaluateSpec
) -> None:
    wrong = replace(spec, task=replace(spec.task, batch_size=8))
    with pytest.raises(UserError, match=r"optim\.batch_size=8: larger than the 6 videos"):
        evaluated(tmp_path / "stage", manifest, lab / "encoders", wrong)


@pytest.mark.parametrize(
    ("spec", "setting"),
    [(SPEC, {"draws": 3}), (SPEC, {"lr": 0.1}), (LINEAR, {"dropout": 0.5}), (FINETUNE, {"draws": 3})],
)
def test_a_setting_of_another_task_is_refused(
    tmp_path: Path, spec: EvaluateSpec, setting: dict[str, Any]
) -> None:
    told = plain(spec)
    folder = StageFolder(tmp_path)
    config = StageConfig("x/tiny", "x", "", "0" * 16, 1, told, "", {})
    assert read_spec(config, EvaluateSpec, folder) == spec
    told["task"] |= setting
    with pytest.raises(UserError, match=next(iter(setting))):
        read_spec(config, EvaluateSpec, folder)


def params_of(folder: Path) -> dict[str, Any]:
    return journal.read(folder / "journal").params


@pytest.mark.usefixtures("results")
def test_settings_of_a_task_are_params_of_its_run(lab: Path) -> None:
    common = {"dataset": "tiny", "views": "rgb+mv", "crops": 10, "windows": 2, "seed": 3, "mv_cell": 8}
    retrieve, linear, finetune = (params_of(lab / task) for task in ("retrieve", "linear", "finetune"))
    assert common.items() <= retrieve.items()
    assert not {"lr", "epochs", "draws", "dropout"} & set(retrieve)
    own = {"task": "linear", "lr": 0.1, "epochs": 6, "batch_size": 2, "schedule": "plateau", "draws": 2}
    assert own.items() <= linear.items()
    assert ({"task": "finetune", "lr": 0.02, "dropout": 0.1}).items() <= finetune.items()
