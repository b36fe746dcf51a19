"""Videos that a CSV file lists, with their labels, splits and, where known, groups."""

import csv
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mvcgc.data.index.layouts.base import DatasetConfig, Layout, named_after
from mvcgc.data.index.layouts.grouping import groups_by_name
from mvcgc.data.index.layouts.listing import SPLIT_NAMES, UNLABELLED, Entry, Listing, finish
from mvcgc.data.index.layouts.splitting import carve_by_class
from mvcgc.errors import UserError

COLUMNS = ("path", "label", "split")
GROUP = "group"


class CSV(Layout):
    """Videos that a CSV file lists."""

    version = 1

    @dataclass
    class Config(DatasetConfig):
        """Settings of a CSV file.

        Attributes:
            file: the file, with the columns path, label, split and, if you like, group. Paths are relative
                to ``root``, by default the folder of the file.
        """

        file: str = ""

        def __post_init__(self) -> None:
            super().__post_init__()
            if not self.root and self.file:
                self.root = str(Path(self.file).parent)

        def default_name(self) -> str:
            """Return the file's name without its suffix."""
            return named_after(self.file) or super().default_name()

    config: Config

    @property
    def root(self) -> Path:
        """The folder that paths are relative to. Raises UserError if there is no file."""
        if not self.config.file:
            raise UserError("dataset.file is empty; set it to a CSV file with the columns path, label, split")
        if not Path(self.config.file).expanduser().is_file():
            raise UserError(f"dataset.file={self.config.file}: no such file; give a CSV file of videos")
        return super().root

    def listing(self) -> Listing:
        """List the videos of the file's lines."""
        root = self.root
        return csv_file(Path(self.config.file).expanduser(), root)


@dataclass(frozen=True)
class _Row:
    number: int
    path: str
    label: str
    part: str
    group: str


def csv_file(file: Path, root: Path) -> Listing:
    """List the videos that ``file`` names, below ``root``.

    An empty label is none. Videos of one group are of one source; without a group it is told by the name, as
    in a folder. Where no line has the split val, about a tenth of train becomes val.

    Raises:
        UserError: naming line and column, if a value cannot be used or a video is not there.
    """
    rows = list(_rows(file, root))
    if not rows:
        raise UserError(f"{file}: lists no video; write a line of {','.join(COLUMNS)} for each")
    _check_unique(file, rows)
    _check_present(file, root, rows)
    classes = sorted({row.label for row in rows if row.label})
    number = {name: label for label, name in enumerate(classes)}
    by_name = groups_by_name({row.path: _folder(row.path) for row in rows}).group
    entries = [
        Entry(row.path, number.get(row.label, UNLABELLED), row.group or by_name[row.path], row.part)
        for row in rows
    ]
    entries, carved = carve_by_class(entries)
    return finish(classes, entries, [], carved=carved)


def _rows(file: Path, root: Path) -> Iterator[_Row]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"dataset.file={file}: cannot be read as text in UTF-8 ({error})") from error
    reader = csv.reader(lines)
    header = [name.strip().lower() for name in next(reader, [])]
    if missing := [name for name in COLUMNS if name not in header]:
        raise UserError(
            f"{file}, line 1: the header {','.join(header) or '(empty)'} lacks {', '.join(missing)}; write "
            f"{','.join((*COLUMNS, GROUP))} (group is optional), separated by commas"
        )
    for values in reader:
        line = reader.line_num
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(header):
            raise UserError(
                f"{file}, line {line}: has {len(values)} values, the header {len(header)}; put values with "
                "commas into double quotes"
            )
        row = {name: value.strip() for name, value in zip(header, values, strict=True)}
        part = SPLIT_NAMES.get(row["split"].lower())
        if part is None:
            raise UserError(f"{file}, line {line}, column split: {row['split']!r}; write train, val or test")
        yield _Row(line, _relative(file, line, row["path"], root), row["label"], part, row.get(GROUP, ""))


def _relative(file: Path, line: int, path: str, root: Path) -> str:
    """Return ``path`` relative to the root, which it must not leave."""
    where = f"{file}, line {line}, column path"
    if not path:
        raise UserError(f"{where}: is empty; write the path of a video")
    relative = os.path.relpath(os.path.join(root, path), root)
    if relative == os.curdir or relative.split(os.sep)[0] == os.pardir:
        raise UserError(
            f"{where}: {path} is not below {root}; set dataset.root to a folder that holds all videos"
        )
    return Path(relative).as_posix()


def _check_unique(file: Path, rows: list[_Row]) -> None:
    lines: dict[str, int] = {}
    for row in rows:
        first = lines.setdefault(row.path, row.number)
        if first != row.number:
            raise UserError(
                f"{file}, line {row.number}, column path: {row.path} is in line {first} already; "
                "leave one of them"
            )


def _check_present(file: Path, root: Path, rows: list[_Row]) -> None:
    by_folder: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        by_folder[_folder(row.path)].append(row)
    absent = []
    for folder, inside in by_folder.items():  # a listing of each folder, not a look at each file
        try:
            there = set(os.listdir(root / folder))
        except OSError:
            there = set()
        absent += [row for row in inside if row.path.rpartition("/")[2] not in there]
    if absent:
        first = min(absent, key=lambda row: row.number)
        raise UserError(
            f"{file}, line {first.number}, column path: there is no {root / first.path} "
            f"({len(absent)} of {len(rows)} videos are missing); paths are relative to {root}, which "
            "dataset.root changes"
        )


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
