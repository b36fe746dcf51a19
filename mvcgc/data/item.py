"""What to read of one video, and what was read: all that passes between a loader and its workers.

Nothing here or below it imports torch: a worker that decodes would start seconds later and be three times as
large.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from mvcgc.data.sampling import Draw
from mvcgc.data.views import Format, ViewArrays, read_views
from mvcgc.video import Matrix, VideoError, VideoInfo


@dataclass(frozen=True)
class Unread:
    """A video that could not be read, and why, in one line that names the file."""

    name: str
    message: str


@dataclass(frozen=True)
class Sample:
    """What was read of one video: one or more rows of a batch.

    Attributes:
        views: [rows, N, T, ...] arrays, as in `mvcgc.data.batch.Batch`.
        draws: float32 [rows, N, P].
        video, group, label, name, matrix: of the video, for every row.
    """

    views: ViewArrays
    draws: Float32[np.ndarray, "rows N P"]
    video: int
    group: int
    label: int
    name: str
    matrix: Matrix


@dataclass(frozen=True)
class Item:
    """What to read of one video: the clips of one or more rows of a batch. Small, and can be pickled.

    Attributes:
        path: the file.
        name: it within the dataset.
        info: what the probe found.
        draws: [rows][N], which clips.
        video, group, label: of the video, as in `Sample`.
        format: what is made of each clip.
        mestimate: block-match motion where the codec exports none.
    """

    path: Path
    name: str
    info: VideoInfo
    draws: Sequence[Sequence[Draw]]
    video: int
    group: int
    label: int
    format: Format
    mestimate: bool

    @property
    def clips(self) -> int:
        """How many clips it holds, rows x N."""
        return len(self.draws) * len(self.draws[0])

    def read(self, out: ViewArrays | None = None) -> Sample | Unread:
        """The clips, written into ``out`` (arrays of `Format.empty` for as many) or into new arrays."""
        arrays = self.format.empty(self.clips) if out is None else out
        flat = [draw for row in self.draws for draw in row]
        try:
            matrix = read_views(self.path, self.info, flat, self.format, arrays, mestimate=self.mestimate)
        except (VideoError, OSError) as error:
            return Unread(self.name, " ".join(str(error).split()))
        return self.sample(arrays, matrix)

    def sample(self, arrays: ViewArrays, matrix: Matrix) -> Sample:
        """The sample of what was read, [rows x N, ...] arrays."""
        head = (len(self.draws), len(self.draws[0]))
        return Sample(
            views={view: array.reshape(*head, *array.shape[1:]) for view, array in arrays.items()},
            draws=np.array([[draw.row() for draw in row] for row in self.draws], np.float32),
            video=self.video,
            group=self.group,
            label=self.label,
            name=self.name,
            matrix=matrix,
        )
