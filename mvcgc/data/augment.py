"""What is done to a batch on its device: flip, colour jitter, greyscale, blur, normalisation (CoCLR's set).

Every clip has its own parameters, drawn by `sampling` and carried in ``Batch.draws``; all frames of a clip
share them. Nothing here is random. Clips with neutral parameters cost nothing beyond normalisation. Motion is
flipped along (a flip negates dx) and never changed photometrically.

The colour operations are torchvision's: each blends with, or turns, the picture's values in [0, 1] and
clamps.
"""

from collections.abc import Callable
from itertools import permutations

import torch
from jaxtyping import Float, Float16, Shaped, UInt8
from torch import Tensor

from mvcgc.data.clips.modalities import RGB
from mvcgc.data.clips.sampling import COLUMNS, SIGMA
from mvcgc.data.loading.batch import Batch
from mvcgc.video import Matrix
from mvcgc.video.colour import weights

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's RGB values in [0, 1], as CoCLR normalises."""

GREY = (0.299, 0.587, 0.114)
"""Weights of R, G and B in brightness (BT.601)."""

WEIGHTS = [weights(matrix) for matrix in sorted(Matrix)]
"""By number of a `Matrix`, [3, 4]: from planes to RGB."""

REFERENCE_SIZE = 128
"""Side in pixels of the picture that `sampling.SIGMA` and the two constants below refer to."""

MOTION_LIMIT = 20.0
"""Longer components are cut off: pixels of the reference picture per frame."""

MOTION_UNIT = 4.0
"""What becomes 1.0: pixels of the reference picture per frame. Typical motion is then below 1."""

ORDERS = tuple(permutations(range(4)))
"""Orders of the four colour operations, by the number that `Draw.order` holds."""

TINY = 1e-12
"""Keeps the hue of grey pixels finite; nothing depends on it, their chroma is 0."""

NEGLIGIBLE = 1e-8
"""Weights of the blur below this, relative to the centre's, are 0."""

Clips = Float[Tensor, "M 3 T H W"]
Draws = dict[str, list[float]]
"""Each of `COLUMNS`, and ``matrix`` -> its value for each of M clips, on the host: choosing never waits for
the device."""


def augment(batch: Batch) -> dict[str, Float[Tensor, "B N C T H W"]]:
    """The networks' inputs: every view of ``batch`` as float32 [B, N, C, T, H, W] on the views' device.

    rgb is normalised by MEAN and STD. Motion is in units of MOTION_UNIT pixels of a 128-pixel picture,
    whatever its size, so that input sizes can be compared.
    """
    columns = batch.draws.flatten(0, 1).unbind(1)
    draws = {name: column.tolist() for name, column in zip(COLUMNS, columns, strict=True)}
    draws["matrix"] = batch.matrix.repeat_interleave(batch.draws.shape[1]).tolist()
    result = {}
    for view, tensor in batch.views.items():
        flat = tensor.flatten(0, 1)
        if view == RGB:
            done = _in_parts(_rgb, flat, flat.shape, draws)
        else:
            done = _in_parts(_motion, flat, flat.movedim(-1, 1).shape, draws)
        result[view] = done.reshape(*tensor.shape[:2], *done.shape[1:])
    return result


def _in_parts(
    change: Callable[[Tensor, Draws, Tensor], None],
    stored: Shaped[Tensor, "M ..."],
    shape: torch.Size,
    draws: Draws,
) -> Float[Tensor, "M C T H W"]:
    """Have ``change`` write what becomes of the stored clips, of ``shape``, some clips at a time.

    A CPU keeps one clip in its cache from the first operation to the last; a GPU wants them all at once.
    """
    result = torch.empty(shape, device=stored.device)
    step = 1 if stored.device.type == "cpu" else len(stored)
    for first in range(0, len(stored), step):
        part = slice(first, first + step)
        change(stored[part], {name: values[part] for name, values in draws.items()}, result[part])
    return result


def _rgb(planes: UInt8[Tensor, "M 3 T H W"], draws: Draws, out: Clips) -> None:
    convert(_flipped(planes, draws), draws, out)
    _jitter(out, draws)
    _apply(_grey, out, [i for i, grey in enumerate(draws["grey"]) if grey], draws["grey"])
    size = out.shape[-1]
    sigmas = [sigma * size / REFERENCE_SIZE for sigma in draws["sigma"]]
    _apply(_blur, out, [i for i, sigma in enumerate(sigmas) if sigma > 0], sigmas)
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        out[:, channel].sub_(mean).div_(std)


def convert(planes: UInt8[Tensor, "M 3 T H W"], draws: Draws, out: Clips) -> None:
    """RGB in [0, 1] of the planes of `mvcgc.video.colour`, each clip by its own matrix."""
    factors = torch.tensor([WEIGHTS[int(matrix)] for matrix in draws["matrix"]])
    factors = factors.to(out.device, non_blocking=True)
    values = planes.float().flatten(2)
    torch.baddbmm(factors[..., 3:], factors[..., :3], values, out=out.view(values.shape))
    out.clamp_(0, 1)


def _motion(vectors: Float16[Tensor, "M T s s2 2"], draws: Draws, out: Float[Tensor, "M 2 T s s2"]) -> None:
    out.copy_(_flipped(vectors.permute(0, 4, 1, 2, 3), draws))
    out.mul_(REFERENCE_SIZE / out.shape[-1]).clamp_(-MOTION_LIMIT, MOTION_LIMIT).div_(MOTION_UNIT)
    sign = torch.tensor([-1.0 if flip else 1.0 for flip in draws["flip"]]).to(out.device, non_blocking=True)
    out[:, 0].mul_(sign.view(-1, 1, 1, 1))


def _flipped(clips: Shaped[Tensor, "M C T H W"], draws: Draws) -> Shaped[Tensor, "M C T H W"]:
    """The clips, mirrored left to right where the draw says so."""
    chosen = [i for i, flip in enumerate(draws["flip"]) if flip]
    if len(chosen) == len(clips):
        return clips.flip(-1)
    if chosen:
        where = torch.tensor(chosen).to(clips.device, non_blocking=True)
        clips = clips.index_copy(0, where, clips[where].flip(-1))
    return clips


def _jitter(clips: Clips, draws: Draws) -> None:
    """Brightness, contrast, saturation and hue of each clip, in its own order, in place.

    At each of the four places all clips that have the same operation there go together.
    """
    operations = (_brightness, _contrast, _saturation, _hue)
    names, neutral = ("brightness", "contrast", "saturation", "hue"), (1.0, 1.0, 1.0, 0.0)
    for place in range(4):
        turn = [ORDERS[int(order)][place] for order in draws["order"]]
        for number, operation in enumerate(operations):
            values = draws[names[number]]
            chosen = [i for i, value in enumerate(values) if turn[i] == number and value != neutral[number]]
            _apply(operation, clips, chosen, values)


def _apply(
    operation: Callable[[Clips, Float[Tensor, "M 1 1 1 1"]], Clips],
    clips: Clips,
    chosen: list[int],
    values: list[float],
) -> None:
    """Change, in place, the chosen clips, each with its value."""
    if not chosen:
        return
    value = torch.tensor([values[i] for i in chosen]).to(clips.device, non_blocking=True).view(-1, 1, 1, 1, 1)
    if len(chosen) == len(clips):
        clips.copy_(operation(clips, value))
    else:
        where = torch.tensor(chosen).to(clips.device, non_blocking=True)
        clips[where] = operation(clips[where], value)


def _brightness(clips: Clips, factor: Float[Tensor, "M 1 1 1 1"]) -> Clips:
    return (clips * factor).clamp_(0, 1)


def _contrast(clips: Clips, factor: Float[Tensor, "M 1 1 1 1"]) -> Clips:
    """Blend with each frame's mean brightness."""
    mean = _brightness_of(clips).mean((-2, -1), keepdim=True)
    return torch.lerp(mean, clips, factor).clamp_(0, 1)


def _saturation(clips: Clips, factor: Float[Tensor, "M 1 1 1 1"]) -> Clips:
    """Blend with the grey picture."""
    return torch.lerp(_brightness_of(clips), clips, factor).clamp_(0, 1)


def _grey(clips: Clips, _: Float[Tensor, "M 1 1 1 1"]) -> Clips:
    return _brightness_of(clips).expand_as(clips)


def _brightness_of(clips: Clips) -> Float[Tensor, "M 1 T H W"]:
    red, green, blue = clips.unbind(1)
    return (GREY[0] * red).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2]).unsqueeze(1)


def _hue(clips: Clips, turns: Float[Tensor, "M 1 1 1 1"]) -> Clips:
    """Turn the hue of HSV; value and saturation stay.

    With the hue h in sixths of a turn, each channel is ``bottom + chroma * clamp(x, 0, 1)``, where x is
    ``|h - 3| - 1`` for red, ``2 - |h - 2|`` for green and ``2 - |h - 4|`` for blue.
    """
    red, green, blue = clips.unbind(1)
    top, bottom = clips.amax(1), clips.amin(1)
    chroma = top - bottom
    # Weights of 0 and 1 from signs and lerp: on a CPU ten times as fast as comparing and choosing.
    not_red, not_green = (top - red).sign_(), (top - green).sign_()
    after_green = torch.add(blue - red, chroma, alpha=2)
    after_blue = torch.add(red - green, chroma, alpha=4)
    hue = torch.lerp(green - blue, torch.lerp(after_green, after_blue, not_green), not_red)
    hue.div_(chroma.clamp_(min=TINY)).add_(6 * turns.squeeze(1) + 6).div_(6).frac_().mul_(6)
    result = torch.empty_like(clips)
    shares = (
        hue.sub(3).abs_().sub_(1),
        hue.sub(2).abs_().neg_().add_(2),
        hue.sub_(4).abs_().neg_().add_(2),
    )
    for channel, share in enumerate(shares):
        torch.addcmul(bottom, chroma, share.clamp_(0, 1), out=result[:, channel])
    return result


def _blur(clips: Clips, sigma: Float[Tensor, "M 1 1 1 1"]) -> Clips:
    """Gaussian blur of ``sigma`` pixels: along each axis a product with a banded matrix of the kernel."""
    matrix = blur_matrix(sigma.flatten(), clips.shape[-1])[:, None, None]
    return matrix @ (clips @ matrix.transpose(-2, -1))


def blur_matrix(sigma: Float[Tensor, " m"], size: int) -> Float[Tensor, "m size size"]:
    """Row i holds the weights of a Gaussian around pixel i, cut off at 3 of the largest sigma.

    Beyond the edge the picture is mirrored, the edge pixel itself counted once, as torchvision pads.
    """
    radius = min(int(3 * SIGMA[1] * size / REFERENCE_SIZE + 1), size - 1)
    offsets = torch.arange(-radius, radius + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernel[kernel < NEGLIGIBLE] = 0  # denormal numbers would make the products twenty times slower
    kernel = kernel / kernel.sum(1, keepdim=True)
    source = (torch.arange(size, device=sigma.device)[:, None] + offsets).abs()
    source = torch.where(source >= size, 2 * (size - 1) - source, source)
    matrix = torch.zeros(len(sigma), size, size, device=sigma.device)
    matrix.scatter_add_(2, source.expand(len(sigma), -1, -1), kernel[:, None, :].expand(-1, size, -1))
    return matrix
