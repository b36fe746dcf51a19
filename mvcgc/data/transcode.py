"""``mvcgc data transcode``: a copy of a folder of videos that is small and cheap to read.

Pictures shrink to a short side of 144 pixels, and every 12th is a keyframe: a clip is reached by decoding a
few small pictures, where Kinetics as it is stored takes up to 250 large ones. The codec is MPEG-4 part 2
without B-frames, whose vectors are exported exactly and which decodes in a third of H.264's time. Vectors are
searched anew on the smaller pictures: they are other vectors, and the report says how far from the old ones.

A file appears under its name when it is whole and was read back. A log keeps what was done: a run that was
broken off goes on where it was.
"""

import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

import numpy as np
from jaxtyping import Float32, UInt8

from mvcgc.data.index.layouts.listing import find_videos
from mvcgc.data.index.progress import progress
from mvcgc.data.index.workers import in_workers
from mvcgc.errors import UserError
from mvcgc.video import ClipRequest, Reader, VideoError, VideoInfo, encode, probe

LOG = "transcode.jsonl"
CODEC = "mpeg4"
OPTIONS = {"mbd": "rd", "qmin": "3"}
"""Blocks are decided by rate and distortion: the vectors of noisy videos come 30 % closer to the source's
than by libavcodec's default, which follows the noise. Quantiser 3 takes less room than 2, the default.
"""
TAKES = (".avi", ".mp4", ".m4v", ".mov", ".mkv")
"""Suffixes of containers that take MPEG-4 part 2; a file with another one becomes .mp4."""

LISTS = (".txt", ".csv", ".tsv", ".json")
"""Suffixes of the lists that layouts read: they are copied."""

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


def transcode(source: Path, target: Path, config: TranscodeConfig, workers: int) -> list[Written]:
    """Write all videos below ``source`` again below ``target``, and copy its lists.

    Files that an earlier run wrote, with this configuration and from sources that have not changed since, are
    left as they are. A damaged video is not written, and named in what is returned.

    Raises:
        UserError: there is no such folder, one is within the other, or two files would have one name.
    """
    source, target = source.resolve(), target.resolve()
    if not source.is_dir():
        raise UserError(f"{source}: no such folder")
    if source == target or source in target.parents or target in source.parents:
        raise UserError(f"{target}: write to a folder outside of {source}")
    tasks = _tasks(source, target, config)
    log = target / LOG
    known = {written.path: written for written in _read(log)}
    done = {task.path: known[task.path] for task in tasks if _is_done(task, known.get(task.path))}
    todo = [task for task in tasks if task.path not in done]
    target.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file, progress("transcoding", len(todo)) as advance:
        if file.tell():  # the line before may be torn
            file.write(b"\n")
        for task, found in in_workers(write, todo, workers):
            written = found or _refusal(task, "the process that decoded it died")
            file.write(json.dumps(asdict(written)).encode() + b"\n")
            file.flush()
            done[task.path] = written
            advance(1)
    for path in _lists(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    return [done[task.path] for task in tasks]


def _tasks(source: Path, target: Path, config: TranscodeConfig) -> list[Task]:
    paths = [path.relative_to(source) for path in find_videos(source).videos]
    if not paths:
        raise UserError(f"{source}: holds no video")
    becomes = [path if path.suffix.lower() in TAKES else path.with_suffix(".mp4") for path in paths]
    name, count = Counter(becomes).most_common(1)[0]
    if count > 1:
        raise UserError(f"{source}: {count} files would become {name}; rename them")
    return [
        Task(str(source), str(target), path.as_posix(), new.as_posix(), config)
        for path, new in zip(paths, becomes, strict=True)
    ]


def _lists(source: Path) -> list[Path]:
    return [path for path in sorted(source.rglob("*")) if path.suffix.lower() in LISTS and path.is_file()]


def _is_done(task: Task, written: Written | None) -> bool:
    if written is None or written.config != asdict(task.config) or written.becomes != task.becomes:
        return False
    stat, copy = (Path(task.source) / task.path).stat(), Path(task.target) / task.becomes
    if (stat.st_size, stat.st_mtime_ns) != (written.size, written.mtime_ns):
        return False
    return bool(written.refused) or (copy.is_file() and copy.stat().st_size == written.bytes)


def _read(log: Path) -> Iterator[Written]:
    if not log.exists():
        return
    for line in log.read_bytes().splitlines():
        try:
            values = json.loads(line)
            yield Written(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
        except (ValueError, TypeError, AttributeError):  # torn, or of another version
            continue


def write(task: Task) -> Written:
    """Write one file, and read it back. Runs in a worker process."""
    path, copy = Path(task.source, task.path), Path(task.target, task.becomes)
    try:
        info = probe(path)
        if info.damage:
            return _refusal(task, info.damage)
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
                return _refusal(task, f"was not read back as it was written: {new}")
            compared = _compare(path, info, beside, new)
            beside.replace(copy)
        finally:
            beside.unlink(missing_ok=True)
    except (VideoError, ValueError, OSError) as error:
        return _refusal(task, getattr(error, "detail", None) or str(error))
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


def _refusal(task: Task, reason: str) -> Written:
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


def report(found: Sequence[Written], target: Path) -> str:
    """Return, in lines, what was written, what it does to size, speed and vectors, and what was refused."""
    good, bad = [each for each in found if not each.refused], [each for each in found if each.refused]
    lines = [f"{target}: {len(good)} of {len(found)} videos written"]
    if good:
        before, after = (sum(each) / 1e6 for each in ([f.size for f in good], [f.bytes for f in good]))
        lines.append(f"  size: {before:.1f} MB, now {after:.1f} MB")
        old, new = (median(each.decode_ms[i] for each in good) for i in (0, 1))
        ratio = median(each.decode_ms[0] / each.decode_ms[1] for each in good)
        lines.append(
            f"  a clip of {CHUNK} frames: {old:.1f} ms, now {new:.1f} ms, {ratio:.1f} times as fast (medians)"
        )
    both = [each for each in good if math.isfinite(each.difference)]
    if both:
        speed = [median(each.speed[i] for each in both) for i in (0, 1)]
        known = [median(100 * each.known[i] for each in both) for i in (0, 1)]
        difference = median(each.difference for each in both)
        lines.append(f"  motion is known in {known[0]:.0f} % of the cells, now in {known[1]:.0f} %")
        lines.append(
            f"  vectors: {speed[0]:.2f} pixels a frame, now {speed[1]:.2f}, "
            f"{difference:.2f} apart (medians of means)"
        )
    if renamed := sum(each.path != each.becomes for each in good):
        lines.append(f"  {renamed} have another suffix, .mp4: lists that name them with theirs do not fit")
    lines += [f"  not written: {each.path}: {each.refused}" for each in bad]
    return "\n".join(lines) + "\n"
