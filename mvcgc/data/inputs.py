"""From a batch on its device to the networks' inputs: mirror, augment, normalise.

Every clip has its own parameters, drawn by an `Augmentation` and carried in ``Batch.draws``. Nothing here is
random.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from mvcgc.data.augment.base import Augmentation, Draws
from mvcgc.data.clips.modality import Modality
from mvcgc.data.loading.batch import Batch
from mvcgc.video import Matrix
from mvcgc.video.colour import weights

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's RGB values in [0, 1], as CoCLR normalises."""

WEIGHTS = [weights(matrix) for matrix in sorted(Matrix)]
"""By number of a `Matrix`, [3, 4]: from planes to RGB."""

Clips = Float[Tensor, "M C T H W"]


class Inputs:
    """Make network inputs of batches.

    Args:
        modalities: by view, what the clips are of.
        augmentation: by which they were drawn; None for test clips.
    """

    def __init__(self, modalities: Mapping[str, Modality], augmentation: Augmentation | None = None) -> None:
        self._modalities, self._augmentation = modalities, augmentation
        self._columns = tuple(augmentation.columns) if augmentation else ()

    def __call__(self, batch: Batch) -> dict[str, Float[Tensor, "B N C T H W"]]:
        """Return every view of ``batch`` as float32 [B, N, C, T, H, W] on the views' device.

        Colour is normalised by MEAN and STD; other modalities say themselves what their networks see.
        """
        names = ("flip", *self._columns)
        columns = batch.draws.flatten(0, 1).unbind(1)
        draws = {name: column.tolist() for name, column in zip(names, columns, strict=True)}
        draws["matrix"] = batch.matrix.repeat_interleave(batch.draws.shape[1]).tolist()
        return {view: self._view(self._modalities[view], clips, draws) for view, clips in batch.views.items()}

    def _view(
        self, modality: Modality, stored: Shaped[Tensor, "B N ..."], draws: Draws
    ) -> Float[Tensor, "B N C T H W"]:
        """Return the input of all clips of a modality, made some clips at a time.

        A CPU keeps one clip in its cache from the first operation to the last; a GPU wants them all at once.
        """
        flat = stored.flatten(0, 1)
        if modality.channels_last:
            flat = flat.movedim(-1, 1)
        result = torch.empty(flat.shape, device=flat.device)
        step = 1 if flat.device.type == "cpu" else len(flat)
        for first in range(0, len(flat), step):
            part = slice(first, first + step)
            own = {name: values[part] for name, values in draws.items()}
            self.write(modality, flat[part], own, result[part])
        return result.reshape(*stored.shape[:2], *result.shape[1:])

    def write(
        self, modality: Modality, stored: Shaped[Tensor, "M C T H W"], draws: Draws, out: Clips
    ) -> None:
        """Write the input of stored clips, mirrored and augmented by their ``draws``, into ``out``."""
        shown = _mirrored(modality, stored, draws["flip"])
        if modality.colour:
            convert(shown, draws, out)
        else:
            modality.to_input(shown, out)
        if self._augmentation is not None:
            self._augmentation.change(out, draws, modality)
        if modality.colour:
            for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
                out[:, channel].sub_(mean).div_(std)


def convert(planes: UInt8[Tensor, "M 3 T H W"], draws: Draws, out: Clips) -> None:
    """Write RGB in [0, 1] of the planes of `mvcgc.video.colour`, each clip by its own ``draws["matrix"]``."""
    factors = torch.tensor([WEIGHTS[int(matrix)] for matrix in draws["matrix"]])
    factors = factors.to(out.device, non_blocking=True)
    values = planes.float().flatten(2)
    torch.baddbmm(factors[..., 3:], factors[..., :3], values, out=out.view(values.shape))
    out.clamp_(0, 1)


def _mirrored(
    modality: Modality, clips: Shaped[Tensor, "M C T H W"], flips: Sequence[float]
) -> Shaped[Tensor, "M C T H W"]:
    """Return the clips, mirrored left to right where the draw says so."""
    chosen = [i for i, flip in enumerate(flips) if flip]
    if len(chosen) == len(clips):
        mirrored: Tensor = modality.mirrored(clips)
        return mirrored
    if chosen:
        where = torch.tensor(chosen).to(clips.device, non_blocking=True)
        clips = clips.index_copy(0, where, modality.mirrored(clips[where]))
    return clips
