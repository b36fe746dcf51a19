"""Transcode one video: encode, read back, compare, and only then rename to its final name."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from mvcgc.errors import UserError
from mvcgc.video import ClipRequest, MotionField, Reader, VideoError, VideoInfo, encode, fill, probe

CODEC = "mpeg4"
OPTIONS = {"qmin": "3", "cmp": "satd", "subcmp": "satd", "mbcmp": "satd"}
"""Compare blocks by SATD: on noisy videos the vectors come closer to the source's than by SAD, the default.
``mbd=rd`` shortens spurious vectors more, but leaves 31 % of the cells without any, not 10 % (means over 12
files). Quantiser 3 takes less space than 2, the default.
"""
MOST_TICKS = 65535
"""Largest denominator of MPEG-4's time base."""
CHUNK = 32
"""Frames read at a time, and length of the clips compared."""


@dataclass(frozen=True)
class TranscodeConfig:
    """Settings of the transcoder.

    Attributes:
        side: short side of the frames, in pixels; smaller frames keep their size.
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
        """Return the transcoded (height, width): even, with the aspect ratio of the source."""
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

    def stat(self) -> tuple[int, int]:
        """Return (bytes, mtime in ns) of the source; zeros if it is gone."""
        try:
            stat = Path(self.source, self.path).stat()
        except OSError:
            return 0, 0
        return stat.st_size, stat.st_mtime_ns


@dataclass(frozen=True)
class Written:
    """One transcoded file, or with ``refused`` the reason why it was not transcoded.

    Attributes:
        path, size, mtime_ns: of the source, relative to its folder.
        bytes: size of the transcoded file.
        decode_ms: CPU time of a clip of 32 frames with vectors, of the source and of the copy.
        speed: mean vector length, in source pixels per frame, of both; cells without a vector are filled as
            for training (`mvcgc.video.fill`).
        known: share of the cells that have a vector, of both.
        difference: mean length of the difference of the filled vectors.
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
    """Transcode one file and read it back. Runs in a worker process."""
    path, copy = Path(task.source, task.path), Path(task.target, task.becomes)
    try:
        info = probe(path)
        if info.damage:
            return refusal(task, info.damage)
        copy.parent.mkdir(parents=True, exist_ok=True)
        beside = copy.with_name(f".checking-{copy.name}")
        try:
            size = task.config.size(info.height, info.width)
            encode(
                beside,
                _pictures(path, info, size),
                fps=frame_rate(info.fps),
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
    assert info.stat is not None, "the probe records it"
    old_size, mtime_ns = info.stat
    return Written(
        task.path,
        old_size,
        mtime_ns,
        task.becomes,
        asdict(task.config),
        copy.stat().st_size,
        *compared,
    )


def refusal(task: Task, reason: str) -> Written:
    """Return the record of a file that was not transcoded."""
    return Written(task.path, *task.stat(), task.becomes, asdict(task.config), refused=reason)


def frame_rate(fps: float) -> Fraction:
    """Return the nearest frame rate that MPEG-4 part 2 can store."""
    return Fraction(fps).limit_denominator(max(1, min(1001, int(MOST_TICKS / fps))))


def _pictures(path: Path, info: VideoInfo, size: tuple[int, int]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    with Reader(path, info) as reader:
        for start in range(0, info.frames, CHUNK):
            request = ClipRequest(start, min(CHUNK, info.frames - start), size=size)
            yield from reader.read([request], motion=False, more=True)[0].rgb


Compared = tuple[tuple[float, float], tuple[float, float], tuple[float, float], float]


def _compare(path: Path, info: VideoInfo, copy: Path, new: VideoInfo) -> Compared:
    """Return `Written`'s decode_ms, speed, known and difference, of a clip in the middle.

    The vectors are compared on the cells of the copy. NaN where the source has none.
    """
    frames = min(CHUNK, info.frames)
    request = ClipRequest((info.frames - frames) // 2, frames, size=(128, 128))
    old_ms, before = _read_clip(path, info, request)
    new_ms, after = _read_clip(copy, new, request)
    assert after is not None
    vectors = fill(after).mv * (info.width / new.width)
    known, speed, difference = math.nan, math.nan, math.nan
    if before is not None:
        rows, columns = (
            np.arange(cells) * source // cells
            for cells, source in zip(vectors.shape[1:3], before.owner.shape[1:], strict=True)
        )
        aligned = fill(before).mv[:, rows][:, :, columns]
        known, speed, difference = _share(before), _mean_length(aligned), _mean_length(vectors - aligned)
    return (old_ms, new_ms), (speed, _mean_length(vectors)), (known, _share(after)), difference


def _read_clip(path: Path, info: VideoInfo, request: ClipRequest) -> tuple[float, MotionField | None]:
    """Return the CPU time in ms, and the motion if the file has any."""
    started = time.process_time()
    with Reader(path, info) as reader:
        (clip,) = reader.read([request], motion=info.vectors)
    return 1e3 * (time.process_time() - started), clip.field


def _mean_length(vectors: Float32[np.ndarray, "T h w 2"]) -> float:
    return float(np.hypot(vectors[..., 0], vectors[..., 1]).mean())


def _share(field: MotionField) -> float:
    return float(field.valid.mean())
