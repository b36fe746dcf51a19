"""The demo dataset as a layout: it makes its own files."""

from dataclasses import dataclass
from pathlib import Path

from mvcgc.data.demo.config import DemoConfig
from mvcgc.data.demo.make import make_demo
from mvcgc.data.index.layouts.base import DatasetConfig, Layout
from mvcgc.data.index.layouts.listing import (
    PARTS,
    Entry,
    Listing,
    check_present,
    finish,
    read_lines,
    videos_below,
)
from mvcgc.errors import UserError


class Demo(Layout):
    """Videos that the project makes itself, whose classes only motion tells apart."""

    version = 1
    public = True

    @dataclass
    class Config(DatasetConfig, DemoConfig):
        """Settings of the demo: those of every dataset, and how its videos are made."""

        def __post_init__(self) -> None:
            DatasetConfig.__post_init__(self)
            DemoConfig.__post_init__(self)

    config: Config

    @property
    def expected_videos(self) -> int:
        """Number of training videos that will be made."""
        return self.config.train

    def make(self, workers: int) -> None:
        """Make the videos, unless just these are there already."""
        make_demo(self.root, self.config, workers)

    def listing(self) -> Listing:
        """List the videos that were made."""
        return demo(self.root)


def demo(root: Path) -> Listing:
    """``<class>/<name>`` files, ``splits/{train,val,test}.txt`` of paths, ``splits/classes.txt``."""
    remedy = f"delete {root} to have the demo videos made again"
    splits = root / "splits"
    classes = read_lines(splits / "classes.txt", remedy)
    entries = []
    for part in PARTS:
        for path in read_lines(splits / f"{part}.txt", remedy):
            name = path.partition("/")[0]
            if name not in classes:
                raise UserError(f"{splits / part}.txt: {path} is of no class in classes.txt; {remedy}")
            entries.append(Entry(path, classes.index(name), path, part))
    wanted = {entry.path: entry.path for entry in entries}
    check_present(str(splits), root, wanted, (p.relative_to(root).as_posix() for p in videos_below(root)))
    return finish(classes, entries, [], carved=False)
