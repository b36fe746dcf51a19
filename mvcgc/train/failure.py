"""What stops a training that has gone wrong."""

from collections.abc import Sequence

from torch import Tensor

from mvcgc import dist


class NotFinite(RuntimeError):
    """The loss or its gradient became infinite or NaN; the message names the step and the batch's videos."""


def not_finite(step: int, losses: Sequence[Tensor], names: Sequence[Sequence[str]]) -> NotFinite:
    """The error for ``step``, given this rank's losses and video names by micro-batch. All ranks call it.

    It names the videos of the micro-batches whose loss is not finite, or of all if only the gradient is not.
    """
    parts = zip(losses, names, strict=True)
    own = [name for loss, part in parts if not loss.isfinite() for name in part]
    found = [name for part in dist.all_gather_object(own) for name in part]
    if found:
        return NotFinite(f"the loss is not finite at step {step}; videos of the batch: {', '.join(found)}")
    whole = dist.all_gather_object([name for part in names for name in part])
    videos = ", ".join(name for part in whole for name in part)
    return NotFinite(
        f"the gradient of a finite loss is not finite at step {step}; videos of the batch: {videos}"
    )
