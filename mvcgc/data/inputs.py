"""From a batch on its device to the networks' inputs: mirror, augment, normalise.

Every clip has its own parameters, drawn by an `Augmentation` and carried in ``Batch.draws``. Nothing here is
random. Motion is mirrored along (a flip negates dx) and never changed photometrically.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float16, Shaped, UInt8
from torch import Tensor

from mvcgc.data.augment.base import Augmentation, Draws
from mvcgc.data.augment.colour import REFERENCE_SIZE
from mvcgc.data.clips.modalities import RGB
from mvcgc.data.loading.batch import Batch
from mvcgc.video import Matrix
from mvcgc.video.colour import weights

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's RGB values in [0, 1], as CoCLR normalises."""

WEIGHTS = [weights(matrix) for matrix in sorted(Matrix)]
"""By number of a `Matrix`, [3, 4]: from planes to RGB."""

MOTION_LIMIT = 20.0
"""Longer components are cut off: pixels of the reference frame per frame."""

MOTION_UNIT = 4.0
"""What becomes 1.0: pixels of the reference frame per frame. Typical motion is then below 1."""

Clips = Float[Tensor, "M C T H W"]


class Inputs:
    """Make network inputs of the batches of one dataset.

    Args:
        augmentation: by which its clips were drawn; None for test clips.
    """

    def __init__(self, augmentation: Augmentation | None = None) -> None:
        self._augmentation = augmentation
        self._columns = tuple(augmentation.columns) if augmentation else ()

    def __call__(self, batch: Batch) -> dict[str, Float[Tensor, "B N C T H W"]]:
        """Return every view of ``batch`` as float32 [B, N, C, T, H, W] on the views' device.

        rgb is normalised by MEAN and STD. Motion is in units of MOTION_UNIT pixels of a 128-pixel frame,
        whatever its size, so that input sizes can be compared.
        """
        names = ("flip", *self._columns)
        columns = batch.draws.flatten(0, 1).unbind(1)
        draws = {name: column.tolist() for name, column in zip(names, columns, strict=True)}
        draws["matrix"] = batch.matrix.repeat_interleave(batch.draws.shape[1]).tolist()
        result = {}
        for view, tensor in batch.views.items():
            flat = tensor.flatten(0, 1)
            if view == RGB:
                done = self._in_parts(self._rgb, flat, flat.shape, draws, view)
            else:
                done = self._in_parts(self._motion, flat, flat.movedim(-1, 1).shape, draws, view)
            result[view] = done.reshape(*tensor.shape[:2], *done.shape[1:])
        return result

    def _in_parts(
        self,
        make: Callable[[Tensor, Draws, Tensor, str], None],
        stored: Shaped[Tensor, "M ..."],
        shape: torch.Size,
        draws: Draws,
        view: str,
    ) -> Clips:
        """Have ``make`` write what becomes of the stored clips, of ``shape``, some clips at a time.

        A CPU keeps one clip in its cache from the first operation to the last; a GPU wants them all at once.
        """
        result = torch.empty(shape, device=stored.device)
        step = 1 if stored.device.type == "cpu" else len(stored)
        for first in range(0, len(stored), step):
            part = slice(first, first + step)
            make(stored[part], {name: values[part] for name, values in draws.items()}, result[part], view)
        return result

    def _rgb(self, planes: UInt8[Tensor, "M 3 T H W"], draws: Draws, out: Clips, view: str) -> None:
        convert(_flipped(planes, draws), draws, out)
        self._change(out, draws, view)
        for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
            out[:, channel].sub_(mean).div_(std)

    def _motion(self, vectors: Float16[Tensor, "M T s s2 2"], draws: Draws, out: Clips, view: str) -> None:
        out.copy_(_flipped(vectors.permute(0, 4, 1, 2, 3), draws))
        out.mul_(REFERENCE_SIZE / out.shape[-1]).clamp_(-MOTION_LIMIT, MOTION_LIMIT).div_(MOTION_UNIT)
        sign = torch.tensor([-1.0 if flip else 1.0 for flip in draws["flip"]])
        out[:, 0].mul_(sign.to(out.device, non_blocking=True).view(-1, 1, 1, 1))
        self._change(out, draws, view)

    def _change(self, clips: Clips, draws: Draws, view: str) -> None:
        if self._augmentation is not None:
            self._augmentation.change(clips, draws, view)


def convert(planes: UInt8[Tensor, "M 3 T H W"], draws: Draws, out: Clips) -> None:
    """Write RGB in [0, 1] of the planes of `mvcgc.video.colour`, each clip by its own ``draws["matrix"]``."""
    factors = torch.tensor([WEIGHTS[int(matrix)] for matrix in draws["matrix"]])
    factors = factors.to(out.device, non_blocking=True)
    values = planes.float().flatten(2)
    torch.baddbmm(factors[..., 3:], factors[..., :3], values, out=out.view(values.shape))
    out.clamp_(0, 1)


def _flipped(clips: Shaped[Tensor, "M C T H W"], draws: Draws) -> Shaped[Tensor, "M C T H W"]:
    """Return the clips, mirrored left to right where the draw says so."""
    chosen = [i for i, flip in enumerate(draws["flip"]) if flip]
    if len(chosen) == len(clips):
        return clips.flip(-1)
    if chosen:
        where = torch.tensor(chosen).to(clips.device, non_blocking=True)
        clips = clips.index_copy(0, where, clips[where].flip(-1))
    return clips
