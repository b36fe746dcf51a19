"""Any folder of videos."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mvcgc.data.index.layouts.base import DatasetConfig, Layout, named_after
from mvcgc.data.index.layouts.grouping import Groups, check_pattern, groups_by_name, groups_by_pattern
from mvcgc.data.index.layouts.listing import SPLIT_NAMES, UNLABELLED, Entry, Listing, find_videos, finish
from mvcgc.data.index.layouts.splitting import carve_by_class, split
from mvcgc.errors import UserError


class Folder(Layout):
    """A folder of videos, with folders of splits, of classes, of both or of neither."""

    version = 1

    @dataclass
    class Config(DatasetConfig):
        """Settings of a folder.

        Attributes:
            group_pattern: regular expression with one group, which names a video's source; it is searched
                for in the path below the root, or below the folder of the split, without the suffix. By
                default names tell their sources (`grouping`).
        """

        group_pattern: str | None = None

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.group_pattern is not None:
                check_pattern(self.group_pattern)

        def default_name(self) -> str:
            """Return the folder's name."""
            return named_after(self.root) or super().default_name()

    config: Config

    def listing(self) -> Listing:
        """List every video below the root."""
        return folder(self.root, self.config.group_pattern)


def folder(root: Path, pattern: str | None = None) -> Listing:
    """List the videos below ``root``.

    ``train/`` with ``val/`` or ``test/`` beside it are splits. In them, or else in the root, subfolders that
    hold videos are classes if there are at least two of them; otherwise all is unlabelled.

    Without such splits a labelled folder is split by groups, stratified by class: 70 % train, 10 % val, 20 %
    test. Unlabelled videos are all train. Splits without ``val/`` have about a tenth of train as val.

    Raises:
        UserError: if videos or folders lie where they are neither of a split nor of a class, or the pattern
            does not match.
    """
    found = find_videos(root)
    paths = [path.relative_to(root).as_posix() for path in found.videos]
    splits = _splits(root, paths)
    inner = {path: path.partition("/")[2] if splits else path for path in paths}
    classes = _classes(root, inner)
    labels = {path: classes.index(inner[path].partition("/")[0]) if classes else UNLABELLED for path in paths}
    groups = _groups(inner, classes, pattern)
    parts = {path: splits[path.partition("/")[0]] if splits else "train" for path in paths}
    entries = [Entry(path, labels[path], groups.group[inner[path]], parts[path]) for path in paths]
    carved, notes = False, []
    if splits:
        entries, carved = carve_by_class(entries)
    elif classes:
        entries = split(entries, {path: groups.unit[path] for path in paths})
        notes = [_undecided(name, stem) for name, stem in sorted(groups.undecided.items())]
    return finish(classes, entries, [], carved=carved, skipped=found.skipped, notes=notes)


def _splits(root: Path, paths: list[str]) -> dict[str, str]:
    """By folder of a split its part; empty if the root has no such folders."""
    tops = sorted({path.partition("/")[0] for path in paths if "/" in path})
    splits = {top: SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    # A class may be called train: a lone folder of that name among others is one.
    if "train" not in splits.values() or (len(splits) < 2 and len(tops) > 1):
        return {}
    others = [top for top in tops if top not in splits] + [path for path in paths if "/" not in path]
    if others:
        raise UserError(
            f"dataset.root={root}: {', '.join(f'{top}/' for top in splits)} are splits, but {others[0]} lies "
            f"beside them ({len(others)} such); move it into one of them, or list the videos in a file for "
            "dataset=csv"
        )
    return splits


def _classes(root: Path, inner: Mapping[str, str]) -> list[str]:
    classes = sorted({path.partition("/")[0] for path in inner.values() if "/" in path})
    if len(classes) < 2:
        return []
    stray = [path for path, below in inner.items() if "/" not in below]
    if stray:
        raise UserError(
            f"dataset.root={root}: {len(stray)} videos lie beside the class folders, first {stray[0]}; "
            "move them into a class folder, or all videos into one folder to use them without labels"
        )
    return classes


def _groups(inner: Mapping[str, str], classes: list[str], pattern: str | None) -> Groups:
    if pattern is not None:
        group = groups_by_pattern(inner.values(), pattern)
        return Groups(group, group, {})
    return groups_by_name({path: path.partition("/")[0] if classes else "" for path in inner.values()})


def _undecided(name: str, stem: str) -> str:
    return (
        f"class {name} is in train alone: by their names all its videos are of one source, {stem}; if they "
        "are recordings of their own, set dataset.group_pattern='(.+)'"
    )
