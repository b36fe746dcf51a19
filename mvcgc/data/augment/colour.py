"""Colour operations on clips of RGB in [0, 1], on their device: jitter, greyscale, blur.

Every clip has its own parameters; all frames of a clip share them. Nothing here is random. Clips with neutral
parameters cost nothing. The operations are torchvision's: each blends with, or turns, the frame's values in
[0, 1] and clamps.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations

import torch
from jaxtyping import Float
from torch import Tensor

LUMA = 1
"""The greyscale that keeps luma (BT.601)."""
CHANNELS = (2, 3, 4)
"""The greyscales that show one channel: R, G or B."""

GREY = (0.299, 0.587, 0.114)
"""Weights of R, G and B in luma (BT.601)."""

ORDERS = tuple(permutations(range(4)))
"""Orders of the four operations of the jitter, by the number that the column ``order`` holds."""

TINY = 1e-12
"""Keeps the hue of grey pixels finite; nothing depends on it, their chroma is 0."""

NEGLIGIBLE = 1e-8
"""Weights of the blur below this, relative to the centre's, are 0."""

Clips = Float[Tensor, "M 3 T H W"]
Value = Float[Tensor, "M 1 1 1 1"]


def jitter(clips: Clips, draws: Mapping[str, Sequence[float]]) -> None:
    """Change brightness, contrast, saturation and hue of each clip, in its own order, in place.

    At each of the four places all clips that have the same operation there go together.
    """
    operations = (_brightness, _contrast, _saturation, _hue)
    names, neutral = ("brightness", "contrast", "saturation", "hue"), (1.0, 1.0, 1.0, 0.0)
    for place in range(4):
        turn = [ORDERS[int(order)][place] for order in draws["order"]]
        for number, operation in enumerate(operations):
            values = [
                value if turn[i] == number else neutral[number]
                for i, value in enumerate(draws[names[number]])
            ]
            apply(operation, clips, values, neutral[number])


def apply(
    operation: Callable[[Float[Tensor, "M C T H W"], Value], Float[Tensor, "M C T H W"]],
    clips: Float[Tensor, "N C T H W"],
    values: Sequence[float],
    neutral: float = 0.0,
) -> None:
    """Change clips in place, each with its value; those whose value is ``neutral`` stay as they are.

    Args:
        operation: gets the clips to change and their values, [M, 1, 1, 1, 1] on their device, and returns
            what becomes of them.
        clips: on any device.
        values: one for each clip, on the host.
        neutral: the value that changes nothing.
    """
    chosen = [i for i, value in enumerate(values) if value != neutral]
    if not chosen:
        return
    value = torch.tensor([values[i] for i in chosen]).to(clips.device, non_blocking=True).view(-1, 1, 1, 1, 1)
    if len(chosen) == len(clips):
        clips.copy_(operation(clips, value))
    else:
        where = torch.tensor(chosen).to(clips.device, non_blocking=True)
        clips[where] = operation(clips[where], value)


def _brightness(clips: Clips, factor: Value) -> Clips:
    return (clips * factor).clamp_(0, 1)


def _contrast(clips: Clips, factor: Value) -> Clips:
    """Blend with each frame's mean luma."""
    mean = _luma(clips).mean((-2, -1), keepdim=True)
    return torch.lerp(mean, clips, factor).clamp_(0, 1)


def _saturation(clips: Clips, factor: Value) -> Clips:
    """Blend with the grey picture."""
    return torch.lerp(_luma(clips), clips, factor).clamp_(0, 1)


def grey(clips: Clips, kind: Value) -> Clips:
    """Return luma (`LUMA`) or one channel (`CHANNELS`) of each clip in the place of all three."""
    shares = torch.tensor([GREY, (1, 0, 0), (0, 1, 0), (0, 0, 1)]).to(clips.device, non_blocking=True)
    chosen = shares[kind.flatten().long() - LUMA]
    return (chosen[:, None] @ clips.flatten(2)).view_as(clips[:, :1]).expand_as(clips)


def _luma(clips: Clips) -> Float[Tensor, "M 1 T H W"]:
    red, green, blue = clips.unbind(1)
    return (GREY[0] * red).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2]).unsqueeze(1)


def _hue(clips: Clips, turns: Value) -> Clips:
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


def blur(clips: Clips, sigma: Value, widest: float) -> Clips:
    """Return the clips after a Gaussian blur: along each axis a product with a banded matrix of the kernel.

    Args:
        clips: square frames.
        sigma: standard deviation in pixels.
        widest: the largest one there may be, which decides where the kernel is cut off.
    """
    matrix = blur_matrix(sigma.flatten(), clips.shape[-1], widest)[:, None, None]
    return matrix @ (clips @ matrix.transpose(-2, -1))


def blur_matrix(sigma: Float[Tensor, " m"], size: int, widest: float) -> Float[Tensor, "m size size"]:
    """Return matrices whose row i holds the weights of a Gaussian around pixel i, cut off at 3 ``widest``.

    Beyond the edge the frame is mirrored, the edge pixel itself counted once, as torchvision pads.
    """
    radius = min(int(3 * widest + 1), size - 1)
    offsets = torch.arange(-radius, radius + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernel[kernel < NEGLIGIBLE] = 0  # denormal numbers would make the products twenty times slower
    kernel = kernel / kernel.sum(1, keepdim=True)
    source = (torch.arange(size, device=sigma.device)[:, None] + offsets).abs()
    source = torch.where(source >= size, 2 * (size - 1) - source, source)
    matrix = torch.zeros(len(sigma), size, size, device=sigma.device)
    matrix.scatter_add_(2, source.expand(len(sigma), -1, -1), kernel[:, None, :].expand(-1, size, -1))
    return matrix
