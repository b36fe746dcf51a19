"""From batches to the networks' inputs, against a reference that goes frame by frame."""

import colorsys
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from data_factories import HEIGHT, WIDTH, write_video
from scipy.ndimage import gaussian_filter1d

from mvcgc.data.augment.colour import CHANNELS, LUMA
from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.modalities import MOTION_LIMIT, MOTION_UNIT, built_in
from mvcgc.data.clips.reading import Format, read_views
from mvcgc.data.clips.sampling import ClipConfig, Draw, MotionConfig
from mvcgc.data.inputs import MEAN, STD, Inputs
from mvcgc.data.loading.batch import Batch
from mvcgc.video import Box, FlowMethod, Matrix, flow, probe

BOX = Box(0, 0, 16, 16)
BOTH = built_in("rgb", "mv")
augment = Inputs(BOTH, Photometric(Photometric.Config()))


@dataclass(frozen=True)
class Change:
    """What is done to a clip, by name; the defaults do nothing."""

    flip: bool = False
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    order: int = 0
    grey: int = 0
    sigma: float = 0.0

    def row(self) -> tuple[float, ...]:
        values = tuple(float(getattr(self, name)) for name in Photometric.columns)
        return Draw(0, BOX, self.flip, values).row()


NEUTRAL = Change()


def make_batch(draws: list[list[Change]], size: int = 16, frames: int = 3, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    count, clips = len(draws), len(draws[0])
    planes = rng.integers(0, 256, (count, clips, 3, frames, size, size), dtype=np.uint8)
    extremes = np.array([[16, 128, 128], [235, 128, 128], [81, 90, 240], [170, 166, 16]]).T
    planes[0, 0, :, 0, :2] = np.tile(extremes, size // 4)[:, None]
    mv = rng.normal(scale=4, size=(count, clips, frames, size, size, 2)).astype(np.float16)
    ids = torch.arange(count)
    return Batch(
        {"rgb": torch.from_numpy(planes), "mv": torch.from_numpy(mv)},
        torch.tensor([[draw.row() for draw in row] for row in draws], dtype=torch.float32),
        ids,
        ids,
        ids,
        [str(i) for i in range(count)],
        ids % len(Matrix),
    )


def unit(clips: torch.Tensor) -> np.ndarray:
    """From the network's input [C, T, H, W] back to RGB values in [0, 1], [T, H, W, C]."""
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (MEAN, STD))
    return (clips * std + mean).permute(1, 2, 3, 0).double().numpy()


def slow_rgb(batch: Batch, b: int, n: int) -> np.ndarray:
    """RGB in [0, 1] of a clip, [T, H, W, 3], by the equations of the standards."""
    y, cb, cr = batch.views["rgb"][b, n].numpy().astype(float)
    red, blue = ((0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593))[int(batch.matrix[b])]
    y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r, b_ = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return np.stack([r, (y - red * r - blue * b_) / (1 - red - blue), b_], -1).clip(0, 1)


def slow_frame(frame: np.ndarray, draw: Change) -> np.ndarray:
    """One frame in [0, 1], [H, W, 3], operation by operation, hue pixel by pixel."""
    x = frame[:, ::-1] if draw.flip else frame

    def grey(x: np.ndarray) -> np.ndarray:
        return (x @ [0.299, 0.587, 0.114])[..., None]

    def blend(x: np.ndarray, other: np.ndarray | float, factor: float) -> np.ndarray:
        return np.clip(factor * x + (1 - factor) * other, 0, 1)

    def hue(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        for place in np.ndindex(x.shape[:2]):
            h, s, v = colorsys.rgb_to_hsv(*x[place])
            out[place] = colorsys.hsv_to_rgb((h + draw.hue) % 1, s, v)
        return out

    operations = [
        lambda x: blend(x, 0.0, draw.brightness),
        lambda x: blend(x, grey(x).mean(), draw.contrast),
        lambda x: blend(x, grey(x), draw.saturation),
        hue,
    ]
    for number in list(permutations(range(4)))[draw.order]:
        x = operations[number](x)
    if draw.grey:
        shown = grey(x) if draw.grey == LUMA else x[..., CHANNELS.index(draw.grey), None]
        x = np.repeat(shown, 3, axis=2)
    if draw.sigma:
        sigma = draw.sigma * x.shape[0] / 128
        radius = int(3 * 2.0 * x.shape[0] / 128 + 1)
        for axis in (0, 1):
            x = gaussian_filter1d(x, sigma, axis=axis, mode="mirror", radius=radius)
    return x


def random_draw(rng: np.random.Generator) -> Change:
    return Change(
        flip=bool(rng.random() < 0.5),
        brightness=rng.uniform(0.6, 1.4),
        contrast=rng.uniform(0.6, 1.4),
        saturation=rng.uniform(0.6, 1.4),
        hue=rng.uniform(-0.1, 0.1),
        order=int(rng.integers(24)),
        grey=int(rng.integers(1, 5)) if rng.random() < 0.3 else 0,
        sigma=rng.uniform(0.1, 2) if rng.random() < 0.6 else 0.0,
    )


def check(batch: Batch, draws: list[list[Change]]) -> None:
    result = augment(batch)["rgb"]
    for b, n in np.ndindex(result.shape[:2]):
        expected = np.stack([slow_frame(frame, draws[b][n]) for frame in slow_rgb(batch, b, n)])
        np.testing.assert_allclose(unit(result[b, n]), expected, atol=3e-5, err_msg=str(draws[b][n]))


def test_random_draws_match_the_slow_reference() -> None:
    rng = np.random.default_rng(0)
    draws = [[random_draw(rng) for _ in range(2)] for _ in range(6)]
    check(make_batch(draws), draws)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"flip": True},
        {"brightness": 1.4},
        {"contrast": 0.6},
        {"saturation": 1.4},
        {"hue": 0.5},
        {"hue": -0.5},
        {"hue": -1 / 6},
        {"grey": LUMA},
        *({"grey": channel} for channel in CHANNELS),
        {"sigma": 2.0},
        {"sigma": 0.1},
    ],
)
def test_each_operation_alone_matches_the_slow_reference(change: dict[str, float | bool]) -> None:
    draws = [[replace(NEUTRAL, **change)]]
    check(make_batch(draws), draws)


def test_blur_of_a_large_picture_is_wide() -> None:
    draws = [[replace(NEUTRAL, sigma=2.0)]]
    check(make_batch(draws, size=128, frames=1), draws)


@pytest.mark.parametrize("order", range(24))
def test_every_order_is_kept(order: int) -> None:
    draws = [
        [
            replace(NEUTRAL, brightness=1.4, contrast=0.6, saturation=1.4, hue=0.1, order=order)
            for _ in range(2)
        ]
    ]
    check(make_batch(draws, size=4, frames=1), draws)


def test_all_clips_at_once_are_as_each_alone() -> None:
    """The way of a GPU, all clips together, against that of a CPU, one by one."""
    rng = np.random.default_rng(3)
    draws = [[random_draw(rng) for _ in range(2)] for _ in range(5)]
    batch = make_batch(draws)
    alone = augment(batch)
    flat = {name: tensor.flatten(0, 1) for name, tensor in batch.views.items()}
    names = ("flip", *Photometric.columns)
    columns = {name: batch.draws[..., i].flatten().tolist() for i, name in enumerate(names)}
    columns["matrix"] = batch.matrix.repeat_interleave(2).tolist()
    flat["mv"] = flat["mv"].movedim(-1, 1)
    for view, modality in BOTH.items():
        together = torch.empty_like(alone[view].flatten(0, 1))
        augment.write(modality, flat[view], columns, together)
        torch.testing.assert_close(together, alone[view].flatten(0, 1), rtol=0, atol=1e-5)


def test_everything_is_computed_where_the_batch_is() -> None:
    """The meta device computes nothing, but refuses to mix with tensors of the host, as a GPU does."""
    rng = np.random.default_rng(4)
    batch = make_batch([[random_draw(rng) for _ in range(2)] for _ in range(5)])
    result = augment(batch.to(torch.device("meta")))
    assert {view: (x.device.type, tuple(x.shape)) for view, x in result.items()} == {
        "rgb": ("meta", (5, 2, 3, 3, 16, 16)),
        "mv": ("meta", (5, 2, 2, 3, 16, 16)),
    }


def test_neutral_rgb_is_normalised_and_no_more() -> None:
    batch = make_batch([[NEUTRAL]])
    result = augment(batch)["rgb"]
    assert result.shape == (1, 1, 3, 3, 16, 16)
    assert result.dtype == torch.float32
    assert result.is_contiguous()
    expected = (slow_rgb(batch, 0, 0) - MEAN) / STD
    np.testing.assert_allclose(result[0, 0].permute(1, 2, 3, 0), expected, atol=1e-5)


def test_motion_is_scaled_cut_and_never_painted() -> None:
    painted = Change(brightness=1.4, contrast=0.6, saturation=0.6, hue=0.1, grey=LUMA, sigma=2.0)
    batch = make_batch([[painted, NEUTRAL]])
    result = augment(batch)["mv"]
    assert result.shape == (1, 2, 2, 3, 16, 16)
    expected = (
        np.clip(batch.views["mv"].float().numpy() * 128 / 16, -MOTION_LIMIT, MOTION_LIMIT) / MOTION_UNIT
    )
    np.testing.assert_allclose(result.permute(0, 1, 3, 4, 5, 2), expected, rtol=1e-6)
    assert result.abs().max() == MOTION_LIMIT / MOTION_UNIT


def test_a_flip_mirrors_motion_and_negates_dx_alone() -> None:
    flipped, plain = (
        augment(make_batch([[replace(NEUTRAL, flip=flip)]]))["mv"][0, 0] for flip in (True, False)
    )
    torch.testing.assert_close(flipped[0], -plain[0].flip(-1), rtol=0, atol=0)
    torch.testing.assert_close(flipped[1], plain[1].flip(-1), rtol=0, atol=0)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("crop", [Box(0, 0, HEIGHT, WIDTH), Box(8, 20, 40, 64)])
def test_motion_after_augmentation_is_the_motion_of_the_rgb_after_augmentation(
    tmp_path: Path, crop: Box, flip: bool
) -> None:
    """Crop, resize and flip, measured on the picture that the network sees by optical flow."""
    path = write_video(tmp_path / "v.avi", frames=12, dx=3, dy=-2)
    size = 64
    draw = Draw(2, crop, flip)
    form = Format(BOTH, ClipConfig(8, size), MotionConfig(8, size))
    arrays = form.empty(1)
    matrix = read_views(path, probe(path), [draw], form, arrays, mestimate=False)
    one = torch.zeros(1, dtype=torch.int64)
    batch = Batch(
        {view: torch.from_numpy(array)[None] for view, array in arrays.items()},
        torch.tensor([[draw.row()]]),
        one,
        one,
        one,
        ["v"],
        one + matrix,
    )
    result = Inputs(BOTH)(batch)
    shown = (unit(result["rgb"][0, 0]).mean(-1) * 255).round().astype(np.uint8)
    inner = (slice(1, None), slice(12, -12), slice(12, -12))
    measured = np.median(flow(shown, FlowMethod.DIS)[inner].reshape(-1, 2), axis=0)
    vectors = (result["mv"][0, 0] * MOTION_UNIT * size / 128).permute(1, 2, 3, 0).numpy()
    told = np.median(vectors[inner].reshape(-1, 2), axis=0)
    np.testing.assert_allclose(told, measured, atol=0.4)
    known = np.array([(-3 if flip else 3) * size / crop.width, -2 * size / crop.height])
    np.testing.assert_allclose(told, known, atol=0.3)


def test_the_batch_is_left_as_it_was() -> None:
    rng = np.random.default_rng(5)
    draws = [[random_draw(rng)]]
    batch, again = make_batch(draws), make_batch(draws)
    first, second = augment(batch), augment(batch)
    for view, tensor in batch.views.items():
        assert torch.equal(tensor, again.views[view])
        assert torch.equal(first[view], second[view])


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    batch = make_batch([[NEUTRAL]])
    with pytest.raises(AssertionError, match="draws are"):
        replace(batch, views={"rgb": batch.views["rgb"].repeat(2, 1, 1, 1, 1, 1)})
    with pytest.raises(AssertionError, match="names for 1 samples"):
        replace(batch, names=["a", "b"])
