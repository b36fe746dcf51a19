"""From a dataset's configuration to its manifest: make it (demo), list, scan, refuse what is unusable."""

import hashlib
import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from mvcgc.data.demo import DemoConfig, make_demo
from mvcgc.data.index.layouts import folder, kinetics, official
from mvcgc.data.index.layouts.listing import Listing
from mvcgc.data.index.manifest import Manifest, Rejected, Video, publish
from mvcgc.data.index.scan import Fact, scan
from mvcgc.errors import UserError
from mvcgc.video.errors import Reason

ABSENT = "absent"


class DatasetKind(Enum):
    """How a dataset lies on disk."""

    demo = "demo"
    ucf101 = "ucf101"
    hmdb51 = "hmdb51"
    k400 = "k400"
    folder = "folder"


@dataclass
class DatasetConfig:
    """Which videos, and where they are.

    Attributes:
        kind: the layout.
        name: label for folders and tables; letters, digits, ``_``, ``-`` and ``.``.
        root: folder of the dataset; the demo is made there.
        split: which of the official splits of ucf101 and hmdb51, 1 to 3.
        min_frames: fewest frames of a usable video; 0 for those of a clip. Shorter videos than a clip are
            padded (`mvcgc.data.clips.padding`).
        mestimate: block-match motion vectors where the codec exports none (HEVC, VP9, AV1).
        demo: how to make the demo's videos; used by kind demo alone.
    """

    kind: DatasetKind = DatasetKind.demo
    name: str = "demo"
    root: str = ""
    split: int = 1
    min_frames: int = 0
    mestimate: bool = False
    demo: DemoConfig = field(default_factory=DemoConfig)

    def __post_init__(self) -> None:
        if self.split not in (1, 2, 3):
            raise UserError(f"dataset.split={self.split}: the official splits are 1, 2 and 3")
        if self.min_frames < 0 or self.min_frames == 1:
            raise UserError(
                f"dataset.min_frames={self.min_frames}: give 2 frames or more, or 0 for those of a clip"
            )
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", self.name):
            raise UserError(f"dataset.name={self.name!r}: use letters, digits, _, - and . alone")


def prepare(
    config: DatasetConfig, store: Path, min_frames: int, needs_vectors: bool, workers: int
) -> Manifest:
    """The manifest of a dataset, published in ``store``; makes the demo's videos if they are not there.

    Files that an earlier scan knew and that have not changed are not opened again. Refused are files that
    cannot be decoded or are damaged, that have fewer than ``min_frames`` frames, or, where ``needs_vectors``,
    that carry no motion vectors.

    Raises:
        UserError: the folder is missing, its split files are missing or name absent videos, or nothing is
            usable.
    """
    root = _root(config)
    if config.kind is DatasetKind.demo:
        make_demo(root, config.demo, workers)
    if not root.is_dir():
        raise UserError(
            f"dataset.root={config.root}: no such folder; set dataset.root to the folder of {config.name}"
        )
    listing = list_videos(config.kind, root, config.split)
    if not listing.entries:
        raise UserError(
            f"dataset.root={config.root}: holds no video, or none that its lists take; set dataset.root to "
            "a folder of videos"
        )
    where = hashlib.sha256(str(root).encode()).hexdigest()[:8]
    cache = store / "scans" / f"{config.name}-{where}.jsonl"
    facts = scan(root, [entry.path for entry in listing.entries], cache, workers, f"scanning {config.name}")
    manifest = assemble(config, root, listing, facts, min_frames=min_frames, needs_vectors=needs_vectors)
    path = publish(manifest, store)
    if not manifest.videos:
        first = manifest.rejected[0]
        raise UserError(
            f"dataset.root={config.root}: none of its {len(manifest.rejected)} videos is usable, first "
            f"{first.path} ({first.detail}); all are named in {path.with_suffix('.txt')}"
        )
    return manifest


def is_scanned(config: DatasetConfig, store: Path) -> bool:
    """Whether ``store`` has a manifest of the dataset, and its folder is there: `prepare` is quick then."""
    root = _root(config)
    where = hashlib.sha256(str(root).encode()).hexdigest()[:8]
    return root.is_dir() and any(store.glob(f"{config.name}-*-{where}.json"))


def _root(config: DatasetConfig) -> Path:
    if not config.root:
        raise UserError(f"dataset.root is empty; set it to the folder of {config.name}")
    return Path(config.root).expanduser().resolve()


def list_videos(kind: DatasetKind, root: Path, split: int) -> Listing:
    """What the layout ``kind`` lists below ``root``. Raises UserError as the layouts do."""
    match kind:
        case DatasetKind.ucf101:
            return official.ucf101(root, split)
        case DatasetKind.hmdb51:
            return official.hmdb51(root, split)
        case DatasetKind.k400:
            return kinetics.k400(root)
        case DatasetKind.folder:
            return folder.folder(root)
        case DatasetKind.demo:
            return folder.demo(root)


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
    return Manifest(config.name, root, listing.classes, videos, rejected, listing.carved)


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
