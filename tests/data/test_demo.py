"""The demo dataset: only motion tells its classes apart, and it is made reproducibly."""

import hashlib
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from mvcgc.data.demo import DemoConfig, make_demo
from mvcgc.data.demo import make as make_module
from mvcgc.data.demo.layout import demo
from mvcgc.data.demo.make import PARTS, jobs
from mvcgc.data.demo.motions import Motion, pose
from mvcgc.data.demo.render import render
from mvcgc.errors import UserError

SMALL = DemoConfig(train=16, val=8, test=8, size=64, frames=16)
TINY = DemoConfig(train=2, val=2, test=2, classes=2, size=64, frames=16)
CLASSES = len(Motion)


def digests(root: Path) -> dict[str, str]:
    """sha256 of every file below ``root``."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "videos"
    make_demo(root, SMALL, workers=2)
    return root


PER_CLASS, FRAMES = 44, 16


@pytest.fixture(scope="module")
def videos() -> np.ndarray:
    """uint8 [video, T, 64, 64, 3]; the label of video i is i modulo the number of classes."""
    seeds = [np.random.SeedSequence([9, i]) for i in range(PER_CLASS * CLASSES)]
    return np.stack([render(seed, list(Motion)[i % CLASSES], FRAMES, 64) for i, seed in enumerate(seeds)])


class TestOnlyMotionTells:
    """Half of the videos to learn from and half to test on, the same for all tests."""

    def probe(self, features: np.ndarray) -> float:
        """Accuracy of ridge regression [video, sample, D] on the second half of the videos, over samples."""
        half = len(features) // 2
        labels = np.arange(len(features)) % CLASSES
        centre, spread = features[:half].mean((0, 1)), features[:half].std((0, 1)) + 1e-6
        x = (features - centre) / spread
        samples, width = x.shape[1:]
        train = x[:half].reshape(-1, width)
        target = np.eye(CLASSES)[np.repeat(labels[:half], samples)] - 1 / CLASSES
        weights = np.linalg.solve(train.T @ train + len(train) * np.eye(width), train.T @ target)
        return float(((x[half:] @ weights).argmax(2) == labels[half:, None]).mean())

    def bound(self) -> float:
        """What guessing stays below with probability 0.999 even if all samples of a video were as one."""
        chance, count = 1 / CLASSES, PER_CLASS * CLASSES // 2
        return chance + 3.1 * float(np.sqrt(chance * (1 - chance) / count))

    def single_frames(self, videos: np.ndarray) -> np.ndarray:
        """Four frames of every video as 16 x 16 colour pixels."""
        frames = videos[:, :: FRAMES // 4].astype(np.float64)
        count, times, side = frames.shape[:3]
        pixels = frames.reshape(count, times, 16, side // 16, 16, side // 16, 3).mean((3, 5))
        return pixels.reshape(count, times, -1)

    def test_a_linear_probe_on_single_frames_stays_near_chance(self, videos: np.ndarray) -> None:
        assert self.probe(self.single_frames(videos)) < self.bound()

    def test_the_probe_sees_appearance_that_goes_with_the_class(self, videos: np.ndarray) -> None:
        tell = videos.astype(np.float64)
        for label in range(CLASSES):
            tell[label::CLASSES, :, 8 * label : 8 * label + 8] += 25
        assert self.probe(self.single_frames(tell)) > 2 * self.bound()

    def test_how_the_brightest_blob_moves_tells_the_class(self, videos: np.ndarray) -> None:
        moved = np.stack([blob_motion(video) for video in videos])
        assert self.probe(moved[:, None]) > 0.6


def blob_motion(video: np.ndarray) -> np.ndarray:
    """Return how place, size and form of the bright pixels vary together over a video [T, S, S, 3]."""
    light = video.max(axis=3).astype(np.float64)
    weight = np.clip(light - np.quantile(light, 0.8), 0, None) + 1e-9
    weight /= weight.sum((1, 2), keepdims=True)
    axis = np.arange(video.shape[1], dtype=np.float64)
    x, y = (weight * axis).sum((1, 2)), (weight * axis[:, None]).sum((1, 2))
    dx, dy = axis - x[:, None, None], axis[:, None] - y[:, None, None]
    xx, yy, xy = ((weight * part).sum((1, 2)) for part in (dx**2, dy**2, dx * dy))
    tracks = np.stack([x, y, np.log(xx), np.log(yy), 4 * xy / (xx + yy)])
    steps = np.diff(tracks, axis=1)
    spread = np.cov(steps)
    own = np.log(np.diag(spread))
    ratio = np.corrcoef(steps)[np.triu_indices(5, 1)]
    return np.concatenate([own, ratio, ratio**2])


@pytest.mark.parametrize("motion", list(Motion))
def test_a_mirrored_motion_is_of_the_same_class(motion: Motion) -> None:
    phase = np.linspace(0, 7, 50)
    reach = np.full(50, 12.0)

    def mirrored_is(side: int, shift: float) -> bool:
        one, other = pose(motion, phase, reach, 1), pose(motion, phase + shift, reach, side)
        angle = other.angle - other.angle[0] + one.angle[0]  # the object's own angle is arbitrary
        pairs = [(-one.x, other.x), (one.y, other.y), (one.width, other.width), (one.height, other.height)]
        return all(np.allclose(a, b) for a, b in [*pairs, (-one.angle + 2 * one.angle[0], angle)])

    assert any(mirrored_is(side, shift) for side in (1, -1) for shift in (0.0, np.pi))


def test_motions_differ_from_each_other() -> None:
    phase, reach = np.linspace(0, 7, 50), np.full(50, 12.0)
    poses = [pose(motion, phase, reach, 1) for motion in Motion]
    tracks = [np.stack([p.x / 12, p.y / 12, p.width, p.height, p.angle]) for p in poses]
    for i, one in enumerate(tracks):
        for other in tracks[i + 1 :]:
            assert np.abs(one - other).max() > 0.2


def test_every_class_has_as_many_videos_of_every_coding() -> None:
    for part, plan in jobs(DemoConfig(train=400, val=120, test=160)).items():
        per_class = [Counter(job.coding for job in plan if job.motion is motion) for motion in Motion]
        assert all(counter == per_class[0] for counter in per_class)
        assert len(plan) == {"train": 400, "val": 120, "test": 160}[part] == per_class[0].total() * CLASSES
        of_codec = Counter(job.coding.codec for job in plan)
        assert abs(of_codec["mpeg4"] - of_codec["h264"]) <= CLASSES


def test_no_two_videos_share_their_content_and_a_larger_part_begins_with_a_smaller() -> None:
    plan = [job for part in PARTS for job in jobs(DemoConfig())[part]]
    assert len({job.seed for job in plan}) == len({job.path for job in plan}) == len(plan)
    assert jobs(DemoConfig(train=800))["train"][:400] == jobs(DemoConfig(train=400))["train"]
    assert {job.seed for job in jobs(DemoConfig(seed=1))["train"]}.isdisjoint(job.seed for job in plan)


def test_the_files_are_of_both_codecs_with_and_without_b_frames(tmp_path: Path) -> None:
    make_demo(
        tmp_path / "demo", DemoConfig(train=16, val=2, test=2, classes=2, size=64, frames=16), workers=1
    )
    kinds = Counter()
    for path in sorted((tmp_path / "demo").glob("*/train_*")):
        with av.open(str(path)) as container:
            frames = list(container.decode(video=0))
            codec = container.streams.video[0].codec_context.name
        assert [frame.width for frame in frames] == [64] * len(frames)
        assert len(frames) == 16
        b_frames = any(frame.pict_type == av.video.frame.PictureType.B for frame in frames)
        kinds[codec, path.suffix, b_frames] += 1
    assert kinds == {
        ("mpeg4", ".avi", True): 6,
        ("mpeg4", ".avi", False): 2,
        ("h264", ".mp4", True): 6,
        ("h264", ".mp4", False): 2,
    }


def test_the_layout_lists_what_was_made(made: Path) -> None:
    listing = demo(made)
    assert listing.classes == [motion.value for motion in Motion]
    assert Counter(entry.part for entry in listing.entries) == {"train": 16, "val": 8, "test": 8}
    for entry in listing.entries:
        assert entry.path.startswith(f"{listing.classes[entry.label]}/{entry.part}_")


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_workers(made: Path, tmp_path: Path) -> None:
    make_demo(tmp_path / "again", SMALL, workers=1)
    assert digests(tmp_path / "again") == digests(made)
    assert len(digests(made)) == 32 + 5


def test_another_seed_gives_other_videos_of_the_same_names(tmp_path: Path) -> None:
    other = DemoConfig(**{**vars(TINY), "seed": 1})
    make_demo(tmp_path / "one", TINY, workers=1)
    make_demo(tmp_path / "other", other, workers=1)
    one, two = digests(tmp_path / "one"), digests(tmp_path / "other")
    assert one.keys() == two.keys()
    assert all(one[name] != two[name] for name in one if name.endswith((".avi", ".mp4")))


def test_what_is_there_is_kept_and_another_configuration_replaces_it(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    make_demo(root, TINY, workers=1)
    video = next(root.glob("*/train_*"))
    before = video.stat().st_mtime_ns
    make_demo(root, TINY, workers=1)
    assert video.stat().st_mtime_ns == before
    make_demo(root, DemoConfig(**{**vars(TINY), "train": 4}), workers=1)
    assert len(list(root.glob("*/train_*"))) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"dataset\.root=.*: holds something that is not the demo dataset"):
        make_demo(tmp_path, TINY, workers=1)
    with pytest.raises(UserError, match=r"dataset\.root=.*thesis.txt: holds something"):
        make_demo(tmp_path / "thesis.txt", TINY, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    make_demo(tmp_path, TINY, workers=1)
    assert (tmp_path / "splits" / "train.txt").is_file()


def test_a_failure_on_the_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*args: object, **options: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(make_module, "encode", full_disk)
    with pytest.raises(OSError, match="no space left"):
        make_demo(tmp_path / "demo", TINY, workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train", 7),
        ("val", 0),
        ("test", -1),
        ("classes", 1),
        ("classes", 99),
        ("size", 100),
        ("size", 48),
        ("frames", 15),
        ("seed", -1),
    ],
)
def test_settings_that_cannot_work_are_named(key: str, value: int) -> None:
    with pytest.raises(UserError, match=rf"^dataset\.{key}={value}: give "):
        DemoConfig(**{key: value})
