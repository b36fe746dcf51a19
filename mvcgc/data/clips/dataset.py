"""Datasets: from a key (which sample) to an `Item`, which says what to read. They hold no file and no state.

A video that cannot be read at training time becomes an `Unread` in the place of its sample: the loader counts
them over the batch and fails, naming each. Nothing is ever swapped in.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mvcgc.data.augment.base import Augmentation, Footage
from mvcgc.data.clips.item import Item
from mvcgc.data.clips.modality import Modality
from mvcgc.data.clips.reading import Format
from mvcgc.data.clips.sampling import (
    ClipConfig,
    Draw,
    MotionConfig,
    centre_crop,
    ten_crops,
    uniforms,
    windows,
)
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.index.videos import Video


@dataclass(frozen=True)
class Source:
    """Videos of a manifest, and the modalities to read of them.

    Attributes:
        manifest: of the dataset.
        ids: which of its videos, in the order that indices of a dataset count.
        modalities: by view, what is made of each clip.
        clip, motion: sizes.
        mestimate: block-match motion where the codec exports none.
    """

    manifest: Manifest
    ids: list[int]
    modalities: Mapping[str, Modality]
    clip: ClipConfig
    motion: MotionConfig
    mestimate: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def format(self) -> Format:
        """Sizes and modalities of each clip."""
        return Format(self.modalities, self.clip, self.motion)

    def video(self, index: int) -> Video:
        """The video at ``index`` of ``ids``."""
        return self.manifest.videos[self.ids[index]]

    def draw(self, index: int, epoch: int, seed: int, augmentation: Augmentation) -> tuple[Draw, Draw]:
        """Return the two random clips of the video at ``index`` in ``epoch``."""
        video = self.video(index)
        info = video.info
        random = uniforms(seed, epoch, f"clips/{video.path}")
        return augmentation.draw(random, Footage(info.frames, info.width, info.height, self.clip))

    def item(self, index: int, draws: Sequence[Sequence[Draw]]) -> Item:
        """The clips that ``draws`` [rows][N] ask for of the video at ``index``."""
        video, number = self.video(index), self.ids[index]
        return Item(
            path=self.manifest.root / video.path,
            name=video.path,
            info=video.info,
            draws=draws,
            video=number,
            group=self.manifest.group(number),
            label=video.label,
            format=self.format,
            mestimate=self.mestimate,
        )


class ClipDataset(ABC):
    """Videos of ``source``, ``clips`` (N) of each in a row of a batch; keys are what a sampler yields."""

    def __init__(self, source: Source, clips: int) -> None:
        self.source, self.clips = source, clips

    def __len__(self) -> int:
        return len(self.source)

    @abstractmethod
    def item(self, key: Any) -> Item:
        """Return the clips to read for ``key``."""


class RandomDataset(ClipDataset):
    """``clips`` random clips per video (N = 2 for contrast, 1 for supervised training).

    Keys are (epoch, index) from `EpochSampler`; a sample depends on (seed, epoch, video) alone.
    """

    def __init__(self, source: Source, augmentation: Augmentation, seed: int, clips: int) -> None:
        assert clips in (1, 2), f"{clips} clips"
        super().__init__(source, clips)
        self._augmentation, self._seed = augmentation, seed

    def item(self, key: tuple[int, int]) -> Item:
        """The random clips of ``key`` = (epoch, index), one row."""
        epoch, index = key
        pair = self.source.draw(index, epoch, self._seed, self._augmentation)
        return self.source.item(index, [pair[: self.clips]])


class WindowDataset(ClipDataset):
    """Test clips (N = 1): every crop of every window of every video, a row each; keys are items of `plan`.

    A long video is cut into several items of consecutive windows, so that no item holds more than
    ``rows_per_item`` clips (but at least one window).
    """

    def __init__(self, source: Source, crops: int, most_windows: int = 0, rows_per_item: int = 40) -> None:
        """``crops`` is 1 (centre) or 10; ``most_windows`` as in `sampling.windows`."""
        assert crops in (1, 10), f"{crops} crops"
        super().__init__(source, clips=1)
        self._crops, self._most_windows = crops, most_windows
        self._windows_per_item = max(rows_per_item // crops, 1)

    def plan(self, index: int) -> list[tuple[int, tuple[int, ...]]]:
        """The items of the video at ``index``: (index, starts of windows)."""
        starts = windows(self.source.video(index).info.frames, self.source.clip.frames, self._most_windows)
        step = self._windows_per_item
        return [(index, tuple(starts[i : i + step])) for i in range(0, len(starts), step)]

    def rows(self, item: tuple[int, tuple[int, ...]]) -> int:
        """The number of clips of an item."""
        return len(item[1]) * self._crops

    def draws(self, item: tuple[int, tuple[int, ...]]) -> list[list[Draw]]:
        """Return the draws of an item, [rows][1]."""
        index, starts = item
        info = self.source.video(index).info
        if self._crops == 1:
            return [[centre_crop(info.width, info.height, start)] for start in starts]
        return [[draw] for start in starts for draw in ten_crops(info.width, info.height, start)]

    def item(self, key: tuple[int, tuple[int, ...]]) -> Item:
        """The clips of one item of the plan."""
        return self.source.item(key[0], self.draws(key))


class DrawDataset(ClipDataset):
    """``draws`` random clips (N = 1) of every video, a row each; keys are items of `plan`.

    Row e is the clip that `RandomDataset` shows of the video in epoch e, but a file is read once for many of
    them.
    """

    def __init__(
        self, source: Source, augmentation: Augmentation, seed: int, draws: int, rows_per_item: int = 40
    ) -> None:
        super().__init__(source, clips=1)
        self._augmentation, self._seed, self._draws = augmentation, seed, draws
        self._rows_per_item = rows_per_item

    def plan(self, index: int) -> list[tuple[int, tuple[int, ...]]]:
        """The items of the video at ``index``: (index, epochs)."""
        step = self._rows_per_item
        epochs = range(self._draws)
        return [(index, tuple(epochs[i : i + step])) for i in range(0, self._draws, step)]

    def rows(self, item: tuple[int, tuple[int, ...]]) -> int:
        """The number of clips of an item."""
        return len(item[1])

    def item(self, key: tuple[int, tuple[int, ...]]) -> Item:
        """The clips of one item of the plan."""
        index, epochs = key
        return self.source.item(
            index, [self.source.draw(index, epoch, self._seed, self._augmentation)[:1] for epoch in epochs]
        )
