"""Videos shorter than a clip: which of the clip's frames they fill, and with what the others are filled."""

from enum import Enum

import numpy as np
from jaxtyping import Shaped


class Pad(Enum):
    """What fills a clip of which the video has too few frames.

    ``left``: its first frame, before the video (CoCLR, dataset/lmdb_dataset.py); ``loop``: the video from its
    beginning on, again and again; ``none``: nothing, such videos are refused.
    """

    left = "left"
    loop = "loop"
    none = "none"

    def least(self, frames: int, shortest: int) -> int:
        """Return the fewest frames that a video may have, for clips of ``frames``.

        Args:
            frames: of a clip.
            shortest: fewest frames of a usable video of the dataset; 0 for those of a clip.
        """
        return max(frames, shortest) if self is Pad.none or not shortest else shortest


def covered(pad: Pad, video: int, clip: int) -> slice:
    """Return the frames of a clip of ``clip`` frames that a video of ``video`` frames fills itself."""
    shown = min(video, clip)
    assert shown == clip or pad is not Pad.none, f"{video} frames, a clip takes {clip}; prepare refuses such"
    return slice(clip - shown, clip) if pad is Pad.left else slice(0, shown)


def fill_gaps(clip: Shaped[np.ndarray, "T *rest"], place: slice) -> None:
    """Fill the frames of ``clip`` outside of ``place``, which are on its left (`Pad.left`) or its right."""
    frames = len(clip)
    if place.start > 0:
        clip[: place.start] = clip[place.start]
    elif place.stop < frames:
        clip[place.stop :] = clip[np.arange(place.stop, frames) % place.stop]
