"""The manifest: the usable videos of a dataset with all that sampling and reading need, and the refused ones.

Its digest is the dataset's identity. It is taken over what the videos are (path within the dataset, size,
label, group, part, and what the probe found), never over where they lie or when they were copied.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mvcgc.data.index.summary import class_lines, group_line, skipped_line, warnings
from mvcgc.data.index.videos import Video, VideoTable
from mvcgc.errors import UserError
from mvcgc.files import write_atomic
from mvcgc.runs.fingerprint import canonical_json
from mvcgc.video.info import VideoInfo

FORMAT = 3
SUFFIX = ".arrow"


@dataclass(frozen=True)
class Rejected:
    """One refused video: ``reason`` is a word (unreadable, truncated, too_short, ...), ``detail`` a line."""

    path: str
    part: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Manifest:
    """A dataset ready to be read.

    Attributes:
        name: label for folders and tables.
        root: absolute folder of the videos; not part of the digest.
        classes: names in the order of the labels.
        videos: sorted by path; a video's id is its index here.
        rejected: sorted by path; not part of the digest.
        carved: val was taken out of the official training split by us, see `training`.
        skipped: number of files that were left out, by suffix; not part of the digest.
        notes: what else the layout said, each one line; not part of the digest.
    """

    name: str
    root: Path
    classes: list[str]
    videos: Sequence[Video]
    rejected: list[Rejected]
    carved: bool
    skipped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def digest(self) -> str:
        """64 hexadecimal digits that stand for the dataset's content."""
        digest = hashlib.sha256(canonical_json({"classes": self.classes, "carved": self.carved}).encode())
        for line in self.table.content():
            digest.update(b"\n" + line)
        return digest.hexdigest()

    @cached_property
    def table(self) -> VideoTable:
        """The videos as columns."""
        return VideoTable.of(self.videos)

    def group(self, video: int) -> int:
        """Return the id of a video's group: its index among the sorted names of the groups."""
        return int(self.table.group_ids[video])

    def ids(self, *parts: str) -> list[int]:
        """Ids of the videos of the given parts, in order."""
        return self.table.of_parts(parts)

    def part(self, name: str) -> list[Video]:
        """The videos of one part: train, val or test."""
        return [self.videos[video] for video in self.ids(name)]

    @property
    def labelled(self) -> bool:
        """True if any video has a label."""
        return self.table.labelled

    def training(self) -> list[int]:
        """Ids of the whole official training split, for pre-training and as what retrieval searches.

        That is train, and val too where we carved it out of the official training split; a validation split
        of the dataset's own is never trained on.
        """
        return self.ids("train", "val") if self.carved else self.ids("train")

    def require(self, ids: list[int], what: str) -> list[int]:
        """``ids`` if there are any. Raises UserError saying that dataset ``what`` has no usable video."""
        if not ids:
            raise UserError(
                f"dataset.root={self.root}: the {what} split of {self.name} has no usable video "
                f"({len(self.rejected)} refused); see `mvcgc data scan` for the reasons"
            )
        return ids


def manifest_file(store: Path, manifest: Manifest) -> Path:
    """Return the path that `publish` writes to, named by content and root: files never change."""
    where = hashlib.sha256(str(manifest.root).encode()).hexdigest()[:8]
    return store / f"{manifest.name}-{manifest.digest[:16]}-{where}{SUFFIX}"


def publish(manifest: Manifest, store: Path) -> Path:
    """Write the manifest and, beside it, the report ``.txt``; atomic, and nothing if already there."""
    path = manifest_file(store, manifest)
    content = manifest.table.to_bytes(json.dumps(_header(manifest)).encode())
    if not path.exists() or path.read_bytes() != content:
        write_atomic(path.with_suffix(".txt"), report(manifest, limit=None))
        write_atomic(path, content)
    return path


def load(path: Path) -> Manifest:
    """Map a published manifest into memory. Raises UserError if it is missing or of another format."""
    try:
        table, header = VideoTable.map(path)
        data = json.loads(header or "{}")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as a manifest ({error}); run `mvcgc data scan`") from error
    if data.pop("format", None) != FORMAT:
        raise UserError(f"{path}: is no manifest of format {FORMAT}; run `mvcgc data scan`")
    digest, root = data.pop("digest"), Path(data.pop("root"))
    rejected = [Rejected(**each) for each in data.pop("rejected")]
    manifest = Manifest(root=root, rejected=rejected, videos=table, **data)
    vars(manifest)["digest"] = digest  # it was taken when the file was written; 300,000 videos take 13 s
    return manifest


def report(manifest: Manifest, limit: int | None = 50) -> str:
    """Return the dataset's summary and its refused files by reason, at most ``limit`` of each (None: all)."""
    parts = Counter(video.part for video in manifest.videos)
    total = len(manifest.videos) + len(manifest.rejected)
    lines = [
        f"{manifest.name}: {len(manifest.videos)} of {total} videos are usable "
        f"(train {parts['train']}, val {parts['val']}, test {parts['test']}; "
        f"{len(manifest.classes)} classes)",
        f"root {manifest.root}",
        f"digest {manifest.digest}",
    ]
    codecs = Counter(_codec(video.info) for video in manifest.videos)
    lines += [f"{count:>8} x {codec}" for codec, count in sorted(codecs.items())]
    lines += _summary(manifest, whole=limit is None)
    for reason in sorted({rejected.reason for rejected in manifest.rejected}):
        files = [rejected for rejected in manifest.rejected if rejected.reason == reason]
        lines.append(f"refused, {reason.replace('_', ' ')}: {len(files)}")
        lines += [f"  {file.path} ({file.part}): {file.detail}" for file in files[:limit]]
        if limit is not None and len(files) > limit:
            lines.append(f"  ... and {len(files) - limit} more, all named in the report beside the manifest")
    # A name that is not UTF-8 is shown with escapes.
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace").decode()


def _summary(manifest: Manifest, whole: bool) -> Iterator[str]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in manifest.classes}
    for video in manifest.videos:
        if video.label >= 0:
            counts[manifest.classes[video.label]][video.part] += 1
    yield group_line(video.group for video in manifest.videos)
    yield from class_lines(manifest.classes, counts, whole)
    if manifest.skipped:
        yield skipped_line(manifest.skipped)
    groups = ((video.group, video.part) for video in manifest.videos)
    found = [*manifest.notes, *warnings(manifest.classes, counts, groups, carved=manifest.carved)]
    yield from (f"warning: {line}" for line in found)


def _codec(info: VideoInfo) -> str:
    return f"{info.codec}, {'with' if info.vectors else 'without'} motion vectors"


def _header(manifest: Manifest) -> dict[str, Any]:
    """Return all but the videos."""
    return {
        "format": FORMAT,
        "name": manifest.name,
        "digest": manifest.digest,
        "root": str(manifest.root),
        "classes": manifest.classes,
        "carved": manifest.carved,
        "skipped": manifest.skipped,
        "notes": manifest.notes,
        "rejected": [asdict(rejected) for rejected in manifest.rejected],
    }
