"""What testing a video costs, on real, tiny files: the ways of reading show the same, and what is counted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import evaluate_factories as standin
import numpy as np
import pytest
import torch
from evaluate_factories import SPEC

from mvcgc.data.clips.dataset import Source, WindowDataset
from mvcgc.data.clips.modalities import MOTION_UNIT, REFERENCE_SIZE, built_in, settings
from mvcgc.data.clips.sampling import MotionConfig
from mvcgc.data.index.manifest import Manifest
from mvcgc.errors import UserError
from mvcgc.runs.fingerprint import plain
from mvcgc.runs.journal import JournalWriter, Tail
from mvcgc.stages.context import Result
from mvcgc.stages.efficiency import run as efficiency
from mvcgc.stages.efficiency.pipelines import WAYS, Way
from mvcgc.stages.efficiency.spec import EfficiencyConfig, EfficiencySpec, Stored
from mvcgc.stages.evaluate.spec import TestConfig
from mvcgc.train import Interrupted, StopFlag
from mvcgc.video import encode, probe

OURS = EfficiencySpec(
    views=["rgb", "mv"],
    modalities=settings(),
    dataset=SPEC.dataset,
    clip=SPEC.clip,
    motion=MotionConfig(cell=8, size=32),
    backbone=SPEC.backbone,
    test=SPEC.test,
    task=EfficiencyConfig(videos=2),
)
FLOW, CODED = replace(OURS, views=["rgb", "flow_dis"]), replace(OURS, views=["rgb", "mv_coviar"])
FIGURES = ("preprocess_s", "inference_ms", "total_s", "preprocess_wall_s", "inference_cpu_ms")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return standin.make_dataset(tmp_path_factory.mktemp("efficiency"))


def measured(folder: Path, manifest: Manifest, spec: EfficiencySpec, stop: StopFlag | None = None) -> Result:
    attempt = len(list((folder / "journal").glob("*"))) + 1
    with JournalWriter(folder / "journal", attempt) as journal:
        return efficiency.run(standin.context_of(folder, manifest, folder, journal, stop), spec)


def videos_of(path: Path) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads(path.read_text())["videos"]
    return content


def way_of(spec: EfficiencySpec, manifest: Manifest, folder: Path, number: int) -> Way:
    way = WAYS[spec.stored](spec, manifest, number, folder)
    way.make()
    way.look()
    return way


def joined(way: Way) -> dict[str, torch.Tensor]:
    parts = list(way.clips())
    return {view: torch.cat([part[view] for part in parts]) for view in parts[0]}


@pytest.mark.parametrize("spec", [OURS, FLOW, CODED], ids=lambda spec: spec.views[1])
def test_a_stage_leaves_figures_and_nothing_else(
    tmp_path: Path, manifest: Manifest, spec: EfficiencySpec
) -> None:
    folder = tmp_path / "stage"
    result = measured(folder, manifest, spec)
    videos = videos_of(folder / "measured.json")
    test = manifest.part("test")
    assert [one["video"] for one in videos] == [test[0].path, test[2].path]  # 2 of 3
    for name in FIGURES:
        for prefix in ("", "q1_", "q3_"):
            assert result.metrics[f"{prefix}{name}"] > 0
    halves = {name: sum(one[name] for one in videos) / 2 for name in ("preprocess_s", "inference_s")}
    assert result.metrics["preprocess_s"] == pytest.approx(halves["preprocess_s"])
    assert result.metrics["inference_ms"] == pytest.approx(1e3 * halves["inference_s"])
    assert result.metrics["total_s"] == pytest.approx(sum(halves.values()))
    if spec is OURS:
        stored = sum(video.size for video in test)
    else:
        frames = sum(one["frames"] for one in videos)
        share = sum(video.info.frames for video in test) / frames
        stored = share * sum(one["stored_bytes"] for one in videos)
    assert result.metrics["storage_gb"] == pytest.approx(stored / 1e9)
    assert result.outputs == [Path("measured.json")]
    assert {path.name for path in folder.iterdir()} == {"journal", "measured.json", "checkpoint"}
    assert not list((folder / "checkpoint").iterdir())


def test_ours_reads_what_the_evaluation_reads(tmp_path: Path, manifest: Manifest) -> None:
    found = joined(way_of(OURS, manifest, tmp_path, 2))
    source = Source(manifest, [2], built_in("rgb", "mv"), SPEC.clip, MotionConfig(8, 32))
    dataset = WindowDataset(source, SPEC.test.crops, SPEC.test.windows, 40)
    assert len(found["rgb"]) == len(found["mv"]) == sum(map(dataset.rows, dataset.plan(0))) == 20


def test_encoded_again_has_the_vectors_of_the_view(tmp_path: Path, manifest: Manifest) -> None:
    found, stored = joined(way_of(CODED, manifest, tmp_path, 2)), joined(way_of(OURS, manifest, tmp_path, 2))
    spec = replace(CODED, views=["mv_coviar"])
    (expected,) = WAYS[Stored.COMPRESSED](spec, manifest, 2, tmp_path).clips()
    torch.testing.assert_close(found["mv_coviar"], expected["mv_coviar"], rtol=0, atol=0)
    assert found["mv_coviar"].shape == stored["mv"].shape
    # The pictures are nearly those of the file, in units of a standard deviation.
    assert (found["rgb"] - stored["rgb"]).abs().mean() < 0.1


def test_jpeg_files_show_the_pictures_and_their_flow(tmp_path: Path) -> None:
    """A texture that moves by (2, -1) pixels per frame."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (24, 28, 3), dtype=np.uint8)
    blocks = torch.from_numpy(coarse).permute(2, 0, 1)[None].float()
    smooth = torch.nn.functional.interpolate(blocks, scale_factor=8, mode="bicubic").clamp(0, 255)
    texture = smooth[0].permute(1, 2, 0).byte().numpy()
    path = tmp_path / "videos" / "a.avi"
    path.parent.mkdir()
    encode(path, [texture[20 + t : 116 + t, 60 - 2 * t : 188 - 2 * t] for t in range(10)], codec="mpeg4")
    video = standin.Video("a.avi", path.stat().st_size, 0, "a", "test", probe(path))
    manifest = Manifest("moving", path.parent, ["only"], [video], [], carved=False)
    found = joined(way_of(FLOW, manifest, tmp_path / "videos", 0))
    expected = joined(way_of(OURS, manifest, tmp_path, 0))
    assert found["rgb"].shape == expected["rgb"].shape
    # JPEG has half the colours, and does not average where it shrinks.
    assert (found["rgb"] - expected["rgb"]).abs().mean() < 0.25
    middle = found["flow_dis"][8, :, :, 8:-8, 8:-8] * MOTION_UNIT * 84 / REFERENCE_SIZE  # the centre's crop
    dx, dy = middle.flatten(1).median(dim=1).values.tolist()
    assert (dx, dy) == pytest.approx((2, -1), abs=0.2)
    mirrored = found["flow_dis"][9].flip(-1)
    mirrored[0] *= -1
    torch.testing.assert_close(mirrored, found["flow_dis"][8])


def test_an_interrupted_measurement_goes_on_on_the_same_machine_alone(
    tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StopAfter(StopFlag):
        """Raised at the third look: the first video is warmed up and measured then."""

        looks = 0

        @property
        def raised(self) -> bool:
            self.looks += 1
            return self.looks > 2

    folder, spec = tmp_path / "stage", replace(OURS, test=TestConfig(crops=1, windows=1))
    with pytest.raises(Interrupted):
        measured(folder, manifest, spec, StopAfter())
    kept = folder / "checkpoint" / "measured.json"
    (first,) = videos_of(kept)
    content = json.loads(kept.read_text())
    content["videos"][0]["preprocess_s"] = 1234.5
    kept.write_text(json.dumps(content))
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "checkpoint").mkdir(parents=True)
    (elsewhere / "checkpoint" / "measured.json").write_text(
        json.dumps({**content, "machine": "Pentium, 1 cores, 1 threads"})
    )
    measured(folder, manifest, spec)
    measured(elsewhere, manifest, spec)
    both = [videos_of(place / "measured.json") for place in (folder, elsewhere)]
    assert [[one["video"] for one in videos] for videos in both] == [[one["video"] for one in both[0]]] * 2
    assert both[0][0] == {**first, "preprocess_s": 1234.5}
    assert both[1][0]["preprocess_s"] < 1000
    progress = [Tail(place / "journal").poll() for place in (folder, elsewhere)]
    assert [(seen.from_step, seen.step, seen.total_steps) for seen in progress] == [(1, 2, 2), (0, 2, 2)]


def test_without_test_videos(tmp_path: Path, manifest: Manifest) -> None:
    trained = replace(manifest, videos=manifest.part("train"))
    with pytest.raises(UserError, match="the test split of tiny has no usable video"):
        measured(tmp_path / "stage", trained, OURS)


@pytest.mark.parametrize(
    ("views", "stored"),
    [
        (["rgb"], Stored.COMPRESSED),
        (["mv", "rgb"], Stored.COMPRESSED),
        (["mv_coviar"], Stored.RECODED),
        (["rgb", "flow"], Stored.JPEG),
    ],
)
def test_views_tell_how_videos_are_stored(views: list[str], stored: Stored) -> None:
    spec = replace(OURS, views=views, motion=None if views == ["rgb"] else OURS.motion)
    assert spec.stored is stored
    assert plain(spec)["views"] == views


@pytest.mark.parametrize("views", [["mv", "flow"], ["rgb", "flow_low"]])
def test_views_that_no_one_way_gives(views: list[str]) -> None:
    with pytest.raises(UserError, match="optical flow is measured with rgb and one flow of full resolution"):
        replace(OURS, views=views)


def test_a_video_at_least() -> None:
    with pytest.raises(UserError, match=r"efficiency\.videos=0"):
        EfficiencyConfig(0)
