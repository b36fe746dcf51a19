"""Writing one video again: encode, read back, compare, and only then give it its name."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from mvcgc.errors import UserError
from mvcgc.video import ClipRequest, Reader, VideoError, VideoInfo, encode, probe

CODEC = "mpeg4"
OPTIONS = {"mbd": "rd", "qmin": "3"}
"""Blocks are decided by rate and distortion: the vectors of noisy videos come 30 % closer to the source's
than by libavcodec's default, which follows the noise. Quantiser 3 takes less room than 2, the default.
"""
CHUNK = 32
"""Frames that are read, and held, at a time; those of the clips that are compared."""


@dataclass(frozen=True)
class TranscodeConfig:
    """How videos are written.

    Attributes:
        side: short side of the pictures, in pixels; a smaller picture keeps its size.
        gop: frames from one keyframe to the next.
    """

    side: int = 144
    gop: int = 12

    def __post_init__(self) -> None:
        if self.side < 16 or self.side % 2:
            raise UserError(f"--side {self.side}: give an even number of at least 16 pixels")
        if self.gop < 1:
            raise UserError(f"--gop {self.gop}: give a number of at least 1")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the pictures that are written: even, with the shape of those that are read."""
        factor = min(self.side / min(height, width), 1)
        return max(round(height * factor / 2) * 2, 2), max(round(width * factor / 2) * 2, 2)


@dataclass(frozen=True)
class Task:
    """One file: ``path`` below ``source`` becomes ``becomes`` below ``target``."""

    source: str
    target: str
    path: str
    becomes: str
    config: TranscodeConfig


@dataclass(frozen=True)
class Written:
    """One file that was written, or ``refused`` with the reason.

    Attributes:
        path, size, mtime_ns: of the source, relative to its folder.
        bytes: of the file that was written.
        decode_ms: processor time of a clip of 32 frames with vectors, of the source and of what was written.
        speed: mean length of the vectors, in pixels of the source per frame, of both.
        known: share of the cells whose motion the stream tells, of both.
        difference: mean length of the difference of the vectors, where both are known.
    """

    path: str
    size: int
    mtime_ns: int
    becomes: str
    config: dict[str, int]
    bytes: int = 0
    decode_ms: tuple[float, float] = (math.nan, math.nan)
    speed: tuple[float, float] = (math.nan, math.nan)
    known: tuple[float, float] = (math.nan, math.nan)
    difference: float = math.nan
    refused: str = ""


def write(task: Task) -> Written:
    """Write one file, and read it back. Runs in a worker process."""
    path, copy = Path(task.source, task.path), Path(task.target, task.becomes)
    try:
        info = probe(path)
        if info.damage:
            return refusal(task, info.damage)
        copy.parent.mkdir(parents=True, exist_ok=True)
        beside = copy.with_name(f".checking-{copy.name}")
        try:
            size = task.config.size(info.height, info.width)
            fps = Fraction(info.fps).limit_denominator(1001)
            encode(
                beside,
                _pictures(path, info, size),
                fps=fps,
                codec=CODEC,
                gop=task.config.gop,
                options=OPTIONS,
            )
            new = probe(beside)
            if new.damage or (new.frames, new.height, new.width) != (info.frames, *size):
                return refusal(task, f"was not read back as it was written: {new}")
            compared = _compare(path, info, beside, new)
            beside.replace(copy)
        finally:
            beside.unlink(missing_ok=True)
    except (VideoError, ValueError, OSError) as error:
        return refusal(task, getattr(error, "detail", None) or str(error))
    stat = path.stat()
    return Written(
        task.path,
        stat.st_size,
        stat.st_mtime_ns,
        task.becomes,
        asdict(task.config),
        copy.stat().st_size,
        *compared,
    )


def refusal(task: Task, reason: str) -> Written:
    """Return that a file was not written, and why."""
    stat = Path(task.source, task.path).lstat()
    settings = asdict(task.config)
    return Written(task.path, stat.st_size, stat.st_mtime_ns, task.becomes, settings, refused=reason)


def _pictures(path: Path, info: VideoInfo, size: tuple[int, int]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    with Reader(path, info) as reader:
        for start in range(0, info.frames, CHUNK):
            request = ClipRequest(start, min(CHUNK, info.frames - start), size=size)
            yield from reader.read([request], motion=False, more=True)[0].rgb


Compared = tuple[tuple[float, float], tuple[float, float], tuple[float, float], float]


def _compare(path: Path, info: VideoInfo, copy: Path, new: VideoInfo) -> Compared:
    """`Written`'s decode_ms, speed, known and difference, of a clip in the middle.

    Vectors are compared where the source has some, cell by cell of the copy's grid.
    """
    frames = min(CHUNK, info.frames)
    request = ClipRequest((info.frames - frames) // 2, frames, size=(128, 128))
    old_ms, before = _read_clip(path, info, request)
    new_ms, after = _read_clip(copy, new, request)
    assert after is not None
    speeds, known, difference = [math.nan, _mean_speed(after)], [math.nan, _known(after)], math.nan
    if before is not None:
        rows = np.arange(after.shape[1]) * before.shape[1] // after.shape[1]
        columns = np.arange(after.shape[2]) * before.shape[2] // after.shape[2]
        before = before[:, rows][:, :, columns]
        after *= info.width / new.width
        speeds, known[0] = [_mean_speed(before), _mean_speed(after)], _known(before)
        difference = _mean_speed(after - before)
    return (old_ms, new_ms), (speeds[0], speeds[1]), (known[0], known[1]), difference


def _read_clip(
    path: Path, info: VideoInfo, request: ClipRequest
) -> tuple[float, Float32[np.ndarray, "T h w 2"] | None]:
    """Milliseconds of the processor, and the vectors: NaN where the stream does not tell, None for none."""
    started = time.process_time()
    with Reader(path, info) as reader:
        (clip,) = reader.read([request], motion=info.vectors)
    spent = 1e3 * (time.process_time() - started)
    if clip.mv is None or clip.valid is None:
        return spent, None
    return spent, np.where(clip.valid[..., None], clip.mv, np.float32(np.nan))


def _mean_speed(vectors: Float32[np.ndarray, "T h w 2"]) -> float:
    lengths = np.hypot(vectors[..., 0], vectors[..., 1])
    return float(np.nanmean(lengths)) if np.isfinite(lengths).any() else math.nan


def _known(vectors: Float32[np.ndarray, "T h w 2"]) -> float:
    return float(np.isfinite(vectors[..., 0]).mean())
