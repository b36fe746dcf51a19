"""Base of dataset layouts: where a dataset's videos, labels, groups and splits are to be found on disk.

A layout of one's own derives from `Layout` and lists its videos; the built-in ones do the same. Stages never
see a layout: they read the manifest made of its list, and the manifest's digest stands for both.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mvcgc.data.index.layouts.listing import Listing
from mvcgc.errors import UserError
from mvcgc.parts import Part, PartConfig

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass
class DatasetConfig(PartConfig):
    """Settings that every dataset has.

    Attributes:
        name: label for folders and tables; letters, digits, ``_``, ``-`` and ``.``.
        root: folder of the videos.
        mestimate: block-match motion vectors where the codec exports none (HEVC, VP9, AV1).
        min_frames: fewest frames of a usable video; 0 for those of a clip. Shorter videos than a clip are
            padded (`mvcgc.data.clips.padding`).
    """

    part: ClassVar[type["Layout"]]
    name: str = ""
    root: str = ""
    mestimate: bool = False
    min_frames: int = 0

    def __post_init__(self) -> None:
        if self.min_frames < 0 or self.min_frames == 1:
            raise UserError(
                f"dataset.min_frames={self.min_frames}: give 2 frames or more, or 0 for those of a clip"
            )
        if not self.name:
            self.name = self.default_name()
        if not _NAME.fullmatch(self.name):
            raise UserError(f"dataset.name={self.name!r}: use letters, digits, _, - and . alone")

    def default_name(self) -> str:
        """Return the name where none was given: the layout's."""
        return self.part.label


class Layout(Part, ABC):
    """A dataset on disk.

    Attributes:
        public: whether it is a dataset that others know. Tables of others carry the dataset's name.
        published_videos: videos to train on, by the dataset's authors; costs are estimated from them before
            a scan. 0 if unknown.
    """

    Config: ClassVar[type[DatasetConfig]] = DatasetConfig
    public: ClassVar[bool] = False
    published_videos: ClassVar[int] = 0

    def __init__(self, config: DatasetConfig) -> None:
        self.config = config

    @property
    def root(self) -> Path:
        """The folder of the videos, absolute. Raises UserError if none is set."""
        if not self.config.root:
            raise UserError(f"dataset.root is empty; set it to the folder of {self.config.name}")
        return Path(self.config.root).expanduser().resolve()

    @property
    def expected_videos(self) -> int:
        """Number of videos to train on, known without a scan; 0 if unknown."""
        return self.published_videos

    def make(self, workers: int) -> None:
        """Make the videos with ``workers`` processes, if the layout makes them and they are not there."""

    @abstractmethod
    def listing(self) -> Listing:
        """List the videos below `root`, without opening any.

        It is called anew for every run, so that an edit of the layout or of its lists shows at once.

        Raises:
            UserError: if the lists or the folder are not as they should be.
        """


def named_after(path: str) -> str:
    """Return a dataset's name after a folder, or a file without its suffix; '' if nothing is left."""
    if not path:
        return ""
    whole = Path(path).expanduser().resolve()
    name = whole.stem if whole.suffix.lower() in (".csv", ".tsv", ".txt") else whole.name
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.")
