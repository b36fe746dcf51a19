"""Any folder of videos."""

from pathlib import Path

from mvcgc.data.index.layouts.base import Layout
from mvcgc.data.index.layouts.listing import (
    UNLABELLED,
    Entry,
    Listing,
    finish,
    share,
    videos_below,
)
from mvcgc.errors import UserError

TRAIN, VAL = 0.7, 0.1
"""Shares of a labelled folder; the rest is test."""


class Folder(Layout):
    """A folder of videos, with class folders or without labels."""

    version = 1

    def listing(self) -> Listing:
        """List every video below the root."""
        return folder(self.root)


def folder(root: Path) -> Listing:
    """Subfolders that hold videos are classes if there are at least two of them; otherwise all is unlabelled
    train.

    A labelled folder is split by a hash of each video's path: 70 % train, 10 % val, 20 % test. Every video is
    a group of its own.
    """
    paths = [path.relative_to(root).as_posix() for path in videos_below(root)]
    classes = sorted({path.partition("/")[0] for path in paths if "/" in path})
    if len(classes) < 2:
        return finish([], [Entry(path, UNLABELLED, path, "train") for path in paths], [], carved=False)
    stray = [path for path in paths if "/" not in path]
    if stray:
        raise UserError(
            f"dataset.root={root}: {len(stray)} videos lie beside the class folders, first {stray[0]}; "
            "move them into a class folder, or all videos into one folder to use them without labels"
        )
    entries = [Entry(path, classes.index(path.partition("/")[0]), path, _part(path)) for path in paths]
    return finish(classes, entries, [], carved=False)


def _part(path: str) -> str:
    place = share(f"part/{path}")
    if place < TRAIN:
        return "train"
    return "val" if place < TRAIN + VAL else "test"
