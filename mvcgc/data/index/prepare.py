"""From a dataset's configuration to its manifest: make it (demo), list, scan, refuse what is unusable."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mvcgc.data.index.layouts.base import DatasetConfig, Layout
from mvcgc.data.index.layouts.listing import PARTS, UNLABELLED, Listing
from mvcgc.data.index.manifest import SUFFIX, Manifest, Rejected, manifest_file, publish, report
from mvcgc.data.index.scan import Fact, scan
from mvcgc.data.index.summary import skipped_line
from mvcgc.data.index.videos import Video
from mvcgc.errors import UserError
from mvcgc.parts import one_line, own_sources, target_of
from mvcgc.video.errors import Reason

ABSENT = "absent"
REPORTED = 5
"""Refused files of a reason that the report of a first scan names."""


def prepare(
    config: DatasetConfig,
    store: Path,
    min_frames: int,
    needs_vectors: bool,
    workers: int,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """The manifest of a dataset, published in ``store``; its layout makes the videos if it can.

    Files that an earlier scan knew and that have not changed are not opened again. Refused are files that
    cannot be decoded or are damaged, that have fewer than ``min_frames`` frames, or, where ``needs_vectors``,
    that carry no motion vectors. The layout lists the videos each time; a manifest that was not published
    before is reported to ``say``.

    Raises:
        UserError: the folder is missing, its split files are missing or name absent videos, or nothing is
            usable.
    """
    layout = config.part(config)
    root = layout.root
    with own_errors(layout):
        layout.make(workers)
    if not root.is_dir():
        raise UserError(
            f"dataset.root={config.root}: no such folder; set dataset.root to the folder of {config.name}"
        )
    listing = list_videos(layout)
    if not listing.entries:
        skipped = f" ({skipped_line(listing.skipped)})" if listing.skipped else ""
        raise UserError(
            f"dataset.root={config.root}: holds no video, or none that its lists take{skipped}; set "
            "dataset.root to a folder of videos"
        )
    where = hashlib.sha256(str(root).encode()).hexdigest()[:8]
    cache = store / "scans" / f"{config.name}-{where}.jsonl"
    facts = scan(root, [entry.path for entry in listing.entries], cache, workers, f"scanning {config.name}")
    manifest = assemble(config, root, listing, facts, min_frames=min_frames, needs_vectors=needs_vectors)
    is_new = not manifest_file(store, manifest).exists()
    path = publish(manifest, store)
    if is_new:
        say(report(manifest, limit=REPORTED))
    if not manifest.videos:
        first = manifest.rejected[0]
        raise UserError(
            f"dataset.root={config.root}: none of its {len(manifest.rejected)} videos is usable, first "
            f"{first.path} ({first.detail}); all are named in {path.with_suffix('.txt')}"
        )
    return manifest


def is_scanned(config: DatasetConfig, store: Path) -> bool:
    """Return whether the dataset's folder and a manifest of it exist: `prepare` is quick then."""
    root = config.part(config).root
    where = hashlib.sha256(str(root).encode()).hexdigest()[:8]
    return root.is_dir() and any(store.glob(f"{config.name}-*-{where}{SUFFIX}"))


def expected_videos(config: DatasetConfig) -> int:
    """Number of videos to train on, as far as it is known without opening any; else 0."""
    layout = config.part(config)
    known = layout.expected_videos
    if known or not layout.root.is_dir():
        return known
    listing = list_videos(layout)
    training = ("train", "val") if listing.carved else ("train",)
    return sum(entry.part in training for entry in listing.entries)


def list_videos(layout: Layout) -> Listing:
    """Return the layout's list. Raises UserError for what is wrong with it, in one line."""
    with own_errors(layout):
        return checked(layout.listing(), layout)


@contextmanager
def own_errors(layout: Layout) -> Iterator[None]:
    """Name, in one line, the layout of a user's own that raised; a bug of ours keeps its traceback."""
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or not own_sources(type(layout)):
            raise
        raise UserError(f"{_target(layout)} raised {one_line(error)}") from error


def checked(listing: object, layout: Layout) -> Listing:
    """Return the listing. Raises UserError if a layout of a user's own lists what no stage could read."""
    if not isinstance(listing, Listing):
        raise UserError(f"{_target(layout)}: listing() returned a {type(listing).__name__}, no Listing")
    where = f"{_target(layout)}: listing() has"
    for before, entry in zip([None, *listing.entries], listing.entries, strict=False):
        if before is not None and entry.path <= before.path:
            raise UserError(
                f"{where} {entry.path} after {before.path}: make it with "
                "mvcgc.data.index.layouts.listing.finish, which sorts"
            )
        if entry.part not in PARTS:
            raise UserError(f"{where} {entry.path} in part {entry.part!r}; use {', '.join(PARTS)}")
        if not UNLABELLED <= entry.label < len(listing.classes):
            raise UserError(
                f"{where} {entry.path} with label {entry.label}; use 0 to {len(listing.classes) - 1}, "
                f"an index into the classes, or {UNLABELLED} for none"
            )
        if PurePosixPath(entry.path).is_absolute():
            raise UserError(f"{where} the absolute path {entry.path}; give it relative to dataset.root")
    return listing


def _target(layout: Layout) -> str:
    return f"dataset._target_={target_of(type(layout))}"


def assemble(
    config: DatasetConfig,
    root: Path,
    listing: Listing,
    facts: dict[str, Fact],
    *,
    min_frames: int,
    needs_vectors: bool,
) -> Manifest:
    """Join what the layout lists with what the scan found; every listed video is either usable or refused."""
    videos, rejected = [], []
    for entry in listing.entries:
        fact = facts[entry.path]
        reason, detail = verdict(fact, min_frames, needs_vectors and not config.mestimate)
        if fact.info is None or reason:
            rejected.append(Rejected(entry.path, entry.part, reason, detail))
        else:
            videos.append(Video(entry.path, fact.size, entry.label, entry.group, entry.part, fact.info))
    rejected += [Rejected(path, "-", ABSENT, "listed, but not there") for path in listing.absent]
    return Manifest(
        config.name,
        root,
        listing.classes,
        videos,
        rejected,
        listing.carved,
        dict(listing.skipped),
        list(listing.notes),
    )


def verdict(fact: Fact, min_frames: int, needs_vectors: bool) -> tuple[str, str]:
    """(reason, detail) why a file is refused, ('', '') if it is usable."""
    info = fact.info
    if info is None:
        return fact.reason, fact.detail
    if info.damage:
        return Reason.TRUNCATED.value, info.damage
    if info.frames < min_frames:
        return Reason.TOO_SHORT.value, f"{info.frames} frames, at least {min_frames} are needed"
    if needs_vectors and not info.vectors:
        return (
            Reason.NO_VECTORS.value,
            f"{info.codec} exports no motion vectors; set dataset.mestimate=true to match blocks instead",
        )
    return "", ""
