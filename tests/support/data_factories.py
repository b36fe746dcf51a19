"""Small videos and datasets for the tests of mvcgc.data: a texture that moves by whole pixels."""

from pathlib import Path

import numpy as np

from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.index.layouts.listing import Entry, Listing
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.index.videos import Video
from mvcgc.video import encode, probe

WIDTH, HEIGHT = 96, 64
STRONG = Photometric(Photometric.Config())


def texture(seed: int, height: int = 200, width: int = 300) -> np.ndarray:
    """Smooth colour noise that block matching can follow."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 4 + 2, width // 4 + 2, 3))
    rows, columns = np.arange(height) / 4, np.arange(width) / 4
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r)[:, None, None], (columns - c)[None, :, None]
    corners = [coarse[r + i][:, c + j] for i in (0, 1) for j in (0, 1)]
    blend = (corners[0] * (1 - fr) + corners[2] * fr) * (1 - fc)
    blend += (corners[1] * (1 - fr) + corners[3] * fr) * fc
    return (255 * blend).astype(np.uint8)


def moving_frames(frames: int, dx: int, dy: int, seed: int = 0) -> list[np.ndarray]:
    """Pictures of WIDTH x HEIGHT whose content moves (dx right, dy down) pixels a frame."""
    whole = texture(seed)
    top, left = (100 if dy > 0 else 20), (180 if dx > 0 else 20)
    return [whole[top - dy * t :, left - dx * t :][:HEIGHT, :WIDTH] for t in range(frames)]


def write_video(
    path: Path, *, frames: int = 20, dx: int = 2, dy: int = 1, seed: int = 0, codec: str = "mpeg4"
) -> Path:
    """A small file of moving texture; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encode(path, moving_frames(frames, dx, dy, seed), codec=codec, gop=12)
    return path


def touch(root: Path, *names: str) -> None:
    """Empty files: enough for a layout, which opens none."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write_text(path: Path, *lines: str) -> None:
    """A text file of these lines; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def make_manifest(root: Path, videos: int, frames: int = 20) -> Manifest:
    """A manifest of small files in two classes, lengths from ``frames`` up; every fourth is of part test."""
    made = []
    for number in range(videos):
        label = number % 2
        path = write_video(
            root / "ab"[label] / f"{number:02d}.avi",
            frames=frames + number,
            dx=1 + label,
            dy=label,
            seed=number,
        )
        part = "test" if number % 4 == 3 else "train"
        name = path.relative_to(root).as_posix()
        made.append(Video(name, path.stat().st_size, label, f"g{number // 3}", part, probe(path)))
    made.sort(key=lambda video: video.path)
    return Manifest("made", root, ["a", "b"], made, [], carved=False)


def by_path(listing: Listing) -> dict[str, Entry]:
    """The entries of a listing by their paths."""
    return {entry.path: entry for entry in listing.entries}
