"""Kinetics-400: CSV files with a line per clip of a YouTube video, and whatever of them was still there."""

import csv
from pathlib import Path

from mvcgc.data.index.layouts.base import Layout
from mvcgc.data.index.layouts.listing import (
    SPLIT_NAMES,
    UNLABELLED,
    Entry,
    Listing,
    find_videos,
    finish,
    read_lines,
)
from mvcgc.errors import UserError

COLUMNS = ("youtube_id", "time_start", "time_end", "split")
HEADER = ",".join(("label", *COLUMNS))


class K400(Layout):
    """Kinetics-400: the CSV files of its authors and the videos beside them."""

    version = 1
    public = True
    published_videos = 240_000

    def listing(self) -> Listing:
        """List the videos that are still there, and the absent ones."""
        return k400(self.root)


def k400(root: Path) -> Listing:
    """``*.csv`` in the root or in ``annotations/`` and videos anywhere below the root.

    A video is ``<youtube_id>_<start:06d>_<end:06d>.<suffix>`` or ``<youtube_id>.<suffix>``. Videos vanish
    from YouTube, so absent ones are listed in the report and are no error, unless none is there at all. The
    group is the YouTube video. The test list has no ``label`` column in some distributions: its videos are
    unlabelled.
    """
    tables = sorted(root.glob("*.csv")) or sorted((root / "annotations").glob("*.csv"))
    if not tables:
        raise UserError(
            f"dataset.root={root}: no *.csv in it or its folder annotations; put the Kinetics-400 lists there"
        )
    rows = [(table, row) for table in tables for row in _rows(table)]
    classes = sorted({row["label"] for _, row in rows if row.get("label")})
    labels = {name: label for label, name in enumerate(classes)}
    found = find_videos(root)
    by_stem = {path.stem: path.relative_to(root).as_posix() for path in found.videos}
    entries, absent = [], []
    for table, row in rows:
        stem = _stem(table, row)
        path = by_stem.get(stem) or by_stem.get(row["youtube_id"])
        if path is None:
            absent.append(stem)
            continue
        label = labels.get(row.get("label", ""), UNLABELLED)
        entries.append(Entry(path, label, row["youtube_id"], _part(table, row)))
    if not rows:
        raise UserError(f"{tables[0]}: lists no video; take the lists of Kinetics-400 as they are")
    if not entries:
        raise UserError(
            f"dataset.root={root}: none of the {len(rows)} videos in {tables[0].name} is there, the first is "
            f"{absent[0]}; put the files below dataset.root as <youtube_id>_<start>_<end>.mp4"
        )
    return finish(classes, entries, sorted(absent), carved=False, skipped=found.skipped)


def _rows(table: Path) -> list[dict[str, str]]:
    reader = csv.DictReader(read_lines(table, f"a Kinetics-400 list has {HEADER}"), restval="")
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise UserError(
            f"{table}: its header {','.join(reader.fieldnames or ()) or '(empty)'} lacks "
            f"{', '.join(missing)}; "
            f"a Kinetics-400 list has {HEADER}"
        )
    return list(reader)


def _stem(table: Path, row: dict[str, str]) -> str:
    try:
        start, end = round(float(row["time_start"])), round(float(row["time_end"]))
    except ValueError as error:
        raise UserError(
            f"{table}: time_start={row['time_start']}, time_end={row['time_end']} of {row['youtube_id']} are "
            "not seconds; mend the line"
        ) from error
    return f"{row['youtube_id']}_{start:06d}_{end:06d}"


def _part(table: Path, row: dict[str, str]) -> str:
    part = SPLIT_NAMES.get(row["split"].strip().lower())
    if part is None:
        raise UserError(f"{table}: split={row['split']!r} of {row['youtube_id']}; write train, val or test")
    return part
