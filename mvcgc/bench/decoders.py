"""Readers of clips, ours and its peers: ``python -m mvcgc.bench.decoders NAME CORE`` serves one of them.

Each runs in its own process, so that the imports and threads of another one do not count. It prints a line
of JSON with its version, then a `DecodeTime` for each `DecodeTask` that it reads. A clip is `FRAMES` whole
frames, scaled to `SIZE` x `SIZE` pixels.
"""

import json
import os
import resource
import sys
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mvcgc.data.clips.modalities import built_in
from mvcgc.data.clips.reading import Format, read_views
from mvcgc.data.clips.sampling import ClipConfig, Draw, MotionConfig
from mvcgc.data.loading import malloc
from mvcgc.video import Box, VideoInfo

FRAMES, SIZE = 32, 128


@dataclass(frozen=True)
class ClipPosition:
    """A clip of a file: from which frame on."""

    path: Path
    info: VideoInfo
    start: int


Reader = Callable[[ClipPosition], object]
"""Reads a clip; what it returns is let go of."""


@dataclass(frozen=True)
class DecodeTask:
    """Clips of one file to read: their ``starts``."""

    path: str
    info: dict[str, Any]
    starts: list[int]


@dataclass(frozen=True)
class DecodeTime:
    """Milliseconds per clip: on the processor, of all threads and child processes, and on the clock."""

    cpu_ms: float
    wall_ms: float


def mvcgc_reader(*views: str, clips: int = 1) -> Reader:
    """Return what a loader's worker does for a sample of one or two clips, from opening the file on."""
    malloc.keep_freed()
    form = Format(built_in(*views), ClipConfig(FRAMES, SIZE), MotionConfig(size=SIZE))

    def read(at: ClipPosition) -> object:
        path, info, start = at.path, at.info, at.start
        whole = Box(0, 0, info.height, info.width)
        starts = [start, (start * 7919 + FRAMES) % (info.frames - FRAMES + 1)][:clips]
        draws = [Draw(start, whole) for start in starts]
        arrays = form.empty(clips)
        matrix = read_views(path, info, draws, form, arrays, mestimate=False)
        return arrays, matrix

    return read


def naive_pyav() -> Reader:
    """PyAV as its examples use it: from the file's start on, a loop over the vectors."""
    av = import_module("av")

    def read(at: ClipPosition) -> object:
        path, info, start = at.path, at.info, at.start
        pictures, fields = [], []
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            stream.codec_context.flags2 |= av.codec.context.Flags2.export_mvs
            for index, frame in enumerate(container.decode(stream)):
                if index < start:
                    continue
                pictures.append(frame.to_ndarray(format="rgb24", width=SIZE, height=SIZE))
                field = np.zeros((-(-info.height // 8), -(-info.width // 8), 2), np.float32)
                for vector in frame.side_data.get("MOTION_VECTORS") or ():
                    top, left = (vector.dst_y - vector.h // 2) // 8, (vector.dst_x - vector.w // 2) // 8
                    moved = vector.motion_x / vector.motion_scale, vector.motion_y / vector.motion_scale
                    field[top : top + vector.h // 8, left : left + vector.w // 8] = moved
                fields.append(field)
                if len(pictures) == FRAMES:
                    break
        return np.stack(pictures), np.stack(fields)

    return read


def ffmpeg(start_only: bool = False) -> Reader:
    """ffmpeg's own program: from the keyframe on, the same frames decoded, vectors exported, scaled to RGB.

    ``start_only`` is a picture of the same size made by itself: what the program takes to start.
    """
    import subprocess

    scale = f"scale={SIZE}:{SIZE}:flags=bilinear,format=rgb24"
    program = ["ffmpeg", "-nostdin", "-loglevel", "error"]

    def read(at: ClipPosition) -> object:
        path, info, start = at.path, at.info, at.start
        slot = bisect_right(info.keyframes, start) - 1
        keyframe = info.keyframes[slot] if slot >= 0 else 0
        seek = ["-ss", f"{keyframe / info.fps + 0.001:.4f}", "-noaccurate_seek"] if keyframe else []
        made = ["-f", "lavfi", "-i", f"color=size={info.width}x{info.height}"]
        read = [*seek, "-threads", "1", "-flags2", "+export_mvs", "-i", str(path)]
        select = f"select=gte(n\\,{start - keyframe}),"
        wanted = (
            ["-vf", scale, "-frames:v", "1"] if start_only else ["-vf", select + scale, "-frames:v", "32"]
        )
        source = made if start_only else read
        return subprocess.run(
            [*program, *source, "-an", *wanted, "-fps_mode", "passthrough", "-f", "null", "-"],
            check=True,
            stderr=subprocess.DEVNULL,
        )

    return read


def decord() -> Reader:
    """RGB alone."""
    module = import_module("decord")

    def read(at: ClipPosition) -> object:
        path, start = at.path, at.start
        reader = module.VideoReader(str(path), ctx=module.cpu(0), width=SIZE, height=SIZE, num_threads=1)
        return reader.get_batch(list(range(start, start + FRAMES))).asnumpy()

    return read


def opencv(averaging: bool = False) -> Reader:
    """RGB alone; scaled from four pixels each, as by default, or by ``averaging`` over the source's area."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1"
    cv2 = import_module("cv2")
    cv2.setNumThreads(1)
    how = cv2.INTER_AREA if averaging else cv2.INTER_LINEAR

    def read(at: ClipPosition) -> object:
        path, start = at.path, at.start
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        capture.set(cv2.CAP_PROP_POS_FRAMES, start)
        pictures = []
        for _ in range(FRAMES):
            there, picture = capture.read()
            if there:
                picture = cv2.resize(picture, (SIZE, SIZE), interpolation=how)
                pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        capture.release()
        return np.stack(pictures)

    return read


def torchcodec() -> Reader:
    """RGB alone."""
    import torch

    torch.set_num_threads(1)
    decoders = import_module("torchcodec.decoders")
    resize = import_module("torchcodec.transforms").Resize(size=(SIZE, SIZE))

    def read(at: ClipPosition) -> object:
        path, start = at.path, at.start
        decoder = decoders.VideoDecoder(str(path), seek_mode="approximate", transforms=[resize])
        return decoder.get_frames_in_range(start, start + FRAMES).data

    return read


def mvextractor() -> Reader:
    """RGB and vectors, from the file's start on: it does not seek."""
    module, cv2 = import_module("mvextractor.videocap"), import_module("cv2")
    cv2.setNumThreads(1)

    def read(at: ClipPosition) -> object:
        path, start = at.path, at.start
        capture = module.VideoCap()
        capture.open(str(path))
        clip = []
        for index in range(start + FRAMES):
            there, picture, vectors, *_ = capture.read()
            if there and index >= start:
                clip.append((cv2.resize(picture, (SIZE, SIZE)), vectors))
        capture.release()
        return clip

    return read


def flow(method: str, size: int | None) -> Reader:
    """One pair of pictures' optical flow, at ``size`` or at the file's own; reading them is hardly felt."""
    import cv2

    from mvcgc.video import FlowMethod
    from mvcgc.video import flow as flow_of

    rng = np.random.default_rng(0)

    def read(at: ClipPosition) -> object:
        info = at.info
        height, width = (size, size) if size else (info.height, info.width)
        blurred = cv2.GaussianBlur(rng.integers(0, 256, (height, width + 2), np.uint8), (0, 0), 3)
        pair = cv2.convertScaleAbs(blurred, alpha=8, beta=-900)
        return flow_of(np.stack([pair[:, :-2], pair[:, 2:]]), FlowMethod(method))

    return read


READERS: dict[str, tuple[str, Callable[[], Reader]]] = {
    "ours rgb+mv": ("mvcgc", lambda: mvcgc_reader("rgb", "mv")),
    "ours rgb": ("mvcgc", lambda: mvcgc_reader("rgb")),
    "ours mv": ("mvcgc", lambda: mvcgc_reader("mv")),
    "ours two clips": ("mvcgc", lambda: mvcgc_reader("rgb", "mv", clips=2)),
    "ffmpeg": ("", ffmpeg),
    "ffmpeg's start": ("", lambda: ffmpeg(start_only=True)),
    "naive PyAV": ("av", naive_pyav),
    "mv-extractor": ("motion-vector-extractor", mvextractor),
    "decord": ("decord", decord),
    "OpenCV": ("opencv-contrib-python-headless", opencv),
    "OpenCV averaging": ("opencv-contrib-python-headless", lambda: opencv(averaging=True)),
    "torchcodec": ("torchcodec", torchcodec),
    "TV-L1": ("opencv-contrib-python-headless", lambda: flow("tvl1", None)),
    "TV-L1 at 128": ("opencv-contrib-python-headless", lambda: flow("tvl1", SIZE)),
    "DIS": ("opencv-contrib-python-headless", lambda: flow("dis", None)),
    "DIS at 128": ("opencv-contrib-python-headless", lambda: flow("dis", SIZE)),
}
"""Name -> the package whose version is told, and what makes the function."""


def measure(read: Reader, task: DecodeTask) -> DecodeTime:
    """Read the task's clips, the first of them once before: a worker's caches are warm, those of one that has
    waited for the others' turns are not.
    """
    path, info = Path(task.path), VideoInfo.from_dict(task.info)
    read(ClipPosition(path, info, task.starts[0]))
    cpu, wall = _cpu_seconds(), time.perf_counter()
    for start in task.starts:
        read(ClipPosition(path, info, start))
    per_clip = 1000 / len(task.starts)
    return DecodeTime((_cpu_seconds() - cpu) * per_clip, (time.perf_counter() - wall) * per_clip)


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main(name: str, core: int) -> None:
    """Serve jobs from standard input, on one core."""
    os.sched_setaffinity(0, {core})
    # What peers print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    package, make = READERS[name]
    try:
        read = make()
    except (ImportError, OSError, RuntimeError) as error:
        print(json.dumps({"absent": str(error).splitlines()[0]}), file=answers, flush=True)
        return
    print(json.dumps({"version": version(package) if package else ""}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(measure(read, DecodeTask(**json.loads(line))))), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
