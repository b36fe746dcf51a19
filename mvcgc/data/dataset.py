"""Datasets: from a key (which sample) to decoded clips. They hold no file and no state, and can be pickled.

A video that cannot be read at training time becomes an `Unread` in the place of its sample: the loader counts
them over the batch and fails, naming each. Nothing is ever swapped in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from mvcgc.data.batch import Sample
from mvcgc.data.manifest import Manifest, Video
from mvcgc.data.sampling import (
    AugmentConfig,
    ClipConfig,
    Draw,
    MotionConfig,
    centre_crop,
    draw_pair,
    ten_crops,
    windows,
)
from mvcgc.data.views import ViewArrays, check_views, read_views
from mvcgc.video import Matrix, VideoError


@dataclass(frozen=True)
class Unread:
    """A video that could not be read, and why, in one line that names the file."""

    name: str
    message: str


@dataclass(frozen=True)
class Source:
    """What is read: some videos of a manifest, as some views.

    Attributes:
        manifest: of the dataset.
        ids: which of its videos, in the order that indices of a dataset count.
        views: names of `VIEW_CHANNELS`.
        clip, motion: sizes.
        mestimate: block-match motion where the codec exports none.
    """

    manifest: Manifest
    ids: list[int]
    views: tuple[str, ...]
    clip: ClipConfig
    motion: MotionConfig
    mestimate: bool = False

    def __post_init__(self) -> None:
        check_views(self.views)

    def __len__(self) -> int:
        return len(self.ids)

    def video(self, index: int) -> Video:
        """The video at ``index`` of ``ids``."""
        return self.manifest.videos[self.ids[index]]

    def draw(self, index: int, epoch: int, seed: int, augment: AugmentConfig) -> tuple[Draw, Draw]:
        """The two random clips of the video at ``index`` in ``epoch``."""
        video = self.video(index)
        return draw_pair(
            seed,
            epoch,
            video.path,
            frames_total=video.info.frames,
            width=video.info.width,
            height=video.info.height,
            clip=self.clip,
            augment=augment,
        )

    def read(self, index: int, draws: Sequence[Sequence[Draw]]) -> Sample | Unread:
        """The clips that ``draws`` [rows][N] ask for of the video at ``index``, as a sample."""
        video = self.video(index)
        flat = [draw for row in draws for draw in row]
        path = self.manifest.root / video.path
        try:
            arrays, matrix = read_views(
                path,
                video.info,
                flat,
                views=self.views,
                clip=self.clip,
                motion=self.motion,
                mestimate=self.mestimate,
            )
        except (VideoError, OSError) as error:
            return Unread(video.path, " ".join(str(error).split()))
        return self.sample(index, draws, arrays, matrix)

    def sample(
        self, index: int, draws: Sequence[Sequence[Draw]], arrays: ViewArrays, matrix: Matrix
    ) -> Sample:
        """The sample of what was read, for ``draws`` [rows][N] in turn, of the video at ``index``."""
        video = self.video(index)
        head = (len(draws), len(draws[0]))
        number = self.ids[index]
        return Sample(
            views={view: array.reshape(*head, *array.shape[1:]) for view, array in arrays.items()},
            draws=np.array([[draw.row() for draw in row] for row in draws], np.float32),
            video=number,
            group=self.manifest.groups[number],
            label=video.label,
            name=video.path,
            matrix=matrix,
        )


class RandomDataset(Dataset[Sample | Unread]):
    """``clips`` random clips per video (N = 2 for contrast, 1 for supervised training).

    Keys are (epoch, index) from `EpochSampler`; a sample depends on (seed, epoch, video) alone.
    """

    def __init__(self, source: Source, augment: AugmentConfig, seed: int, clips: int) -> None:
        assert clips in (1, 2), f"{clips} clips"
        self.source, self._augment, self._seed, self._clips = source, augment, seed, clips

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: tuple[int, int]) -> Sample | Unread:
        """The sample of ``key`` = (epoch, index)."""
        epoch, index = key
        pair = self.source.draw(index, epoch, self._seed, self._augment)
        return self.source.read(index, [pair[: self._clips]])


class WindowDataset(Dataset[Sample | Unread]):
    """Test clips (N = 1): every crop of every window of every video, a row each; keys are items of `plan`.

    A long video is cut into several items of consecutive windows, so that no item holds more than
    ``rows_per_item`` clips (but at least one window).
    """

    def __init__(self, source: Source, crops: int, most_windows: int = 0, rows_per_item: int = 40) -> None:
        """``crops`` is 1 (centre) or 10; ``most_windows`` as in `sampling.windows`."""
        assert crops in (1, 10), f"{crops} crops"
        self.source, self._crops = source, crops
        self._most_windows = most_windows
        self._windows_per_item = max(rows_per_item // crops, 1)

    def __len__(self) -> int:
        return len(self.source)

    def plan(self, index: int) -> list[tuple[int, tuple[int, ...]]]:
        """The items of the video at ``index``: (index, starts of windows)."""
        starts = windows(self.source.video(index).info.frames, self.source.clip.frames, self._most_windows)
        step = self._windows_per_item
        return [(index, tuple(starts[i : i + step])) for i in range(0, len(starts), step)]

    def rows(self, item: tuple[int, tuple[int, ...]]) -> int:
        """The number of clips of an item."""
        return len(item[1]) * self._crops

    def draws(self, item: tuple[int, tuple[int, ...]]) -> list[list[Draw]]:
        """What the rows of an item show, [rows][1]."""
        index, starts = item
        info = self.source.video(index).info
        if self._crops == 1:
            return [[centre_crop(info.width, info.height, start)] for start in starts]
        return [[draw] for start in starts for draw in ten_crops(info.width, info.height, start)]

    def __getitem__(self, key: tuple[int, tuple[int, ...]]) -> Sample | Unread:
        """The clips of one item."""
        return self.source.read(key[0], self.draws(key))


class DrawDataset(Dataset[Sample | Unread]):
    """``draws`` random clips (N = 1) of every video, a row each; keys are items of `plan`.

    Row e is the clip that `RandomDataset` shows of the video in epoch e, but a file is read once for many of
    them.
    """

    def __init__(
        self, source: Source, augment: AugmentConfig, seed: int, draws: int, rows_per_item: int = 40
    ) -> None:
        self.source, self._augment, self._seed, self._draws = source, augment, seed, draws
        self._rows_per_item = rows_per_item

    def __len__(self) -> int:
        return len(self.source)

    def plan(self, index: int) -> list[tuple[int, tuple[int, ...]]]:
        """The items of the video at ``index``: (index, epochs)."""
        step = self._rows_per_item
        epochs = range(self._draws)
        return [(index, tuple(epochs[i : i + step])) for i in range(0, self._draws, step)]

    def rows(self, item: tuple[int, tuple[int, ...]]) -> int:
        """The number of clips of an item."""
        return len(item[1])

    def __getitem__(self, key: tuple[int, tuple[int, ...]]) -> Sample | Unread:
        """The clips of one item."""
        index, epochs = key
        return self.source.read(
            index, [self.source.draw(index, epoch, self._seed, self._augment)[:1] for epoch in epochs]
        )
