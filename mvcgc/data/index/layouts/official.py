"""UCF101 and HMDB51 as their authors distribute them: class folders beside the official split files.

Neither has a validation split: a tenth of the training groups, chosen by hash, is val, for the learning
    rate's plateau. Siblings never straddle train and val.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mvcgc.data.index.layouts.base import DatasetConfig, Layout
from mvcgc.data.index.layouts.listing import (
    Entry,
    Listing,
    carve,
    check_present,
    find_videos,
    finish,
    read_lines,
)
from mvcgc.errors import UserError

VAL_FRACTION = 0.1
_UCF_GROUP = re.compile(r"^v_(?P<group>.+_g\d+)_c\d+$")
_HMDB_PARTS = {"1": "train", "2": "test"}


class Official(Layout):
    """A dataset with three official splits."""

    public = True

    @dataclass
    class Config(DatasetConfig):
        """Settings of a dataset with three official splits.

        Attributes:
            split: the official split, 1 to 3.
        """

        split: int = 1

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.split not in (1, 2, 3):
                raise UserError(f"dataset.split={self.split}: the official splits are 1, 2 and 3")

    config: Config


class UCF101(Official):
    """UCF101 as its authors distribute it."""

    version = 1
    published_videos = 9_537

    def listing(self) -> Listing:
        """List the videos of one official split."""
        return ucf101(self.root, self.config.split)


class HMDB51(Official):
    """HMDB51 as its authors distribute it."""

    version = 1
    published_videos = 3_570

    def listing(self) -> Listing:
        """List the videos of one official split."""
        return hmdb51(self.root, self.config.split)


def ucf101(root: Path, split: int) -> Listing:
    """``<class>/v_<class>_g01_c01.avi`` (also below ``UCF-101/``) and ``ucfTrainTestlist/``.

    The group is ``<class>_g01``: the clips of one long video.
    """
    lists = root / "ucfTrainTestlist"
    remedy = f"put the official lists of UCF101 into {lists}, or point dataset.root at the folder that has it"
    classes = _class_index(lists / "classInd.txt", remedy)
    videos = root / "UCF-101" if (root / "UCF-101").is_dir() else root
    prefix = "" if videos == root else "UCF-101/"
    wanted: dict[str, str] = {}
    entries = []
    for part in ("train", "test"):
        source = lists / f"{part}list{split:02d}.txt"
        for line in read_lines(source, remedy):
            name = line.split()[0]
            label, _, _ = name.partition("/")
            if label not in classes:
                raise UserError(f"{source}: {line!r} is of no class in classInd.txt; {remedy}")
            wanted[name] = prefix + name
            entries.append(Entry(prefix + name, classes.index(label), ucf_group(Path(name).stem), part))
    found = find_videos(videos)
    present = (path.relative_to(root).as_posix() for path in found.videos)
    check_present(f"split {split} in {lists}", root, wanted, present)
    return finish(classes, carve(entries, VAL_FRACTION), [], carved=True, skipped=found.skipped)


def ucf_group(stem: str) -> str:
    """``v_Archery_g07_c02`` -> ``Archery_g07``; a name of another form is a group of its own."""
    match = _UCF_GROUP.match(stem)
    return match["group"] if match else stem


def _class_index(path: Path, remedy: str) -> list[str]:
    classes = []
    for number, line in enumerate(read_lines(path, remedy), start=1):
        fields = line.split()
        if len(fields) != 2 or fields[0] != str(number):
            raise UserError(f"{path}: line {number} is {line!r}, not '{number} <class>'; {remedy}")
        classes.append(fields[1])
    return classes


def hmdb51(root: Path, split: int) -> Listing:
    """``<class>/<name>.avi`` and ``<class>_test_split<N>.txt`` with flags 1 train, 2 test, 0 unused.

    The split files may lie in the root or in a folder of it. The group is the title of the film in the name.
    """
    pattern = f"*_test_split{split}.txt"
    lists = sorted(root.glob(pattern)) or sorted(root.glob(f"*/{pattern}"))
    remedy = (
        f"put the official split files of HMDB51 into {root / 'testTrainMulti_7030_splits'}, or point "
        "dataset.root at the folder that has it"
    )
    if not lists:
        raise UserError(f"dataset.split={split}: no {pattern} in {root} or a folder of it; {remedy}")
    classes = [path.name.removesuffix(f"_test_split{split}.txt") for path in lists]
    wanted: dict[str, str] = {}
    entries = []
    for label, (name, source) in enumerate(zip(classes, lists, strict=True)):
        for line in read_lines(source, remedy):
            file, _, flag = line.rpartition(" ")
            if flag not in ("0", "1", "2") or not file.strip():
                raise UserError(f"{source}: {line!r} is not '<file> <0, 1 or 2>'; {remedy}")
            if flag == "0":
                continue
            path = f"{name}/{file.strip()}"
            wanted[path] = path
            entries.append(Entry(path, label, hmdb_group(Path(path).stem, name), _HMDB_PARTS[flag]))
    found = find_videos(root)
    present = (path.relative_to(root).as_posix() for path in found.videos)
    check_present(f"split {split} in {lists[0].parent}", root, wanted, present)
    return finish(classes, carve(entries, VAL_FRACTION), [], carved=True, skipped=found.skipped)


def hmdb_group(stem: str, label: str) -> str:
    """``April_09_brush_hair_u_nm_np1_ba_goo_0`` of brush_hair -> ``April_09``: what was cut up.

    A name without the class in it keeps all but its trailing clip number.
    """
    title, _, rest = stem.rpartition(f"_{label}_")
    if title and rest:
        return title
    return re.sub(r"_\d+$", "", stem)
