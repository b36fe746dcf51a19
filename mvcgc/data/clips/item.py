"""What to read of one video, and what was read: all that passes between a loader and its workers.

Nothing here or below it imports torch: a worker that decodes would start seconds later and be three times as
large.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from mvcgc.data.clips.reading import Format, ViewArrays, read_views
from mvcgc.data.clips.sampling import Draw
from mvcgc.video import Matrix, VideoError, VideoInfo


@dataclass(frozen=True)
class Unread:
    """A video that could not be read, and why, in one line that names the file."""

    name: str
    message: str


@dataclass(frozen=True)
class Sample:
    """A video that was read, its clips into the arrays of a batch, of which they are one or more rows.

    Attributes:
        draws: float32 [rows, N, P].
        video, group, label, name, matrix: of the video, for every row.
    """

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

    def read(self, arrays: ViewArrays, first: int) -> Sample | Unread:
        """Write the clips into a batch's ``arrays`` (see `Format.empty`), from number ``first`` on."""
        own = {view: array[first : first + self.clips] for view, array in arrays.items()}
        flat = [draw for row in self.draws for draw in row]
        try:
            matrix = read_views(self.path, self.info, flat, self.format, own, mestimate=self.mestimate)
        except (VideoError, OSError) as error:
            return Unread(self.name, " ".join(str(error).split()))
        return self.sample(matrix)

    def sample(self, matrix: Matrix) -> Sample:
        """The sample, once its clips are read."""
        return Sample(
            draws=np.array([[draw.row() for draw in row] for row in self.draws], np.float32),
            video=self.video,
            group=self.group,
            label=self.label,
            name=self.name,
            matrix=matrix,
        )
