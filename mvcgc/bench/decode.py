"""``mvcgc bench decode``: clips per second of one core, ours beside others', on four kinds of file."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mvcgc.bench import decode_report, measure
from mvcgc.bench.decoders import FRAMES, READERS, DecodeTask
from mvcgc.data.demo.textures import background
from mvcgc.errors import UserError
from mvcgc.video import VideoError, VideoInfo, encode, probe

CLIPS = 4
"""Clips of a file that a reader reads in its turn: few, so that a machine that slows down slows down all."""

FLOWS = frozenset(reader for reader in READERS if reader.startswith(("TV-L1", "DIS")))
"""Timed for one pair of pictures, told for the 31 of a clip; once, since TV-L1 takes seconds."""

SYNTHETIC: dict[str, dict[str, Any]] = {
    "MPEG-4 GOP 12.avi": {"codec": "mpeg4", "gop": 12},
    "MPEG-4 one GOP with B.avi": {"codec": "mpeg4", "gop": 300, "bframes": 2},
    "H.264 GOP 250 with B.mp4": {"codec": "h264", "gop": 250, "bframes": 3},
    "H.264 GOP 12 with B.mp4": {"codec": "h264", "gop": 12, "bframes": 2},
}
"""What is made where no files are given: name -> how `encode` writes it."""


@dataclass(frozen=True)
class BenchFile:
    """A file of the bench."""

    name: str
    path: Path
    info: VideoInfo

    def task(self, seed: int, clips: int = CLIPS) -> DecodeTask:
        """Random clips, the same for the same seed."""
        rng = random.Random(seed)
        starts = [rng.randrange(self.info.frames - FRAMES + 1) for _ in range(clips)]
        return DecodeTask(str(self.path.absolute()), self.info.to_dict(), starts)


def run(given: Sequence[Path], rounds: int, clips_for_memory: int) -> measure.BenchReport:
    """Measure on the ``given`` files, or on made ones. Raises UserError for files that will not do."""
    here, core = measure.environment(), min(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        files = [_probe(path) for path in given or synthetic_files(Path(folder))]
        spent, versions, absent = _rounds(files, rounds, core)
        tasks = [asdict(file.task(seed=0, clips=40)) for file in files]
        phases = _ask("phases", {"tasks": tasks}, core)
        colour = _ask("colour", {"tasks": tasks}, core)
        memory = _ask("memory", {"tasks": tasks, "clips": clips_for_memory}, core)
    figures = {
        "files": {file.name: _described(file) for file in files},
        "rounds": rounds,
        "versions": versions,
        "absent": absent,
        "ms_per_clip": _medians(spent, "cpu_ms"),
        "wall_ms_per_clip": _medians(spent, "wall_ms"),
        "quartiles_relative_to_ffmpeg": _relative(spent) if "ffmpeg" in spent else {},
        "phases_ms": dict(zip((file.name for file in files), phases, strict=True)),
        "colour_ms": dict(zip((file.name for file in files), colour, strict=True)),
        "memory": memory,
    }
    return decode_report.report(figures, here)


def _probe(path: Path) -> BenchFile:
    try:
        info = probe(path)
    except VideoError as error:
        raise UserError(f"bench decode --files: {error}") from error
    if info.frames < 2 * FRAMES or not info.vectors:
        raise UserError(f"bench decode --files: {path}: needs motion vectors and {2 * FRAMES} frames or more")
    return BenchFile(path.stem, path, info)


def synthetic_files(folder: Path) -> Iterator[Path]:
    """A file of each kind: a part of a large picture wanders over another one, with noise."""
    for name, how in SYNTHETIC.items():
        print(f"making {name}", file=sys.stderr)
        encode(folder / name, _frames(300), **how)
        yield folder / name


def _frames(frames: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    behind, before = (background(rng, 640) for _ in range(2))
    for t in range(frames):
        y, x = int(120 + 60 * np.sin(t / 23)), int(160 + 100 * np.sin(t / 31))
        picture = behind[y : y + 240, x : x + 320].copy()
        top, left = int(70 + 60 * np.sin(t / 11)), int(110 + 100 * np.cos(t / 17))
        picture[top : top + 100, left : left + 100] = before[200:300, 200:300] + 80
        yield np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def _described(file: BenchFile) -> dict[str, Any]:
    info, keyframes = file.info, [*file.info.keyframes, file.info.frames]
    return {
        "codec": info.codec,
        "size": f"{info.width}x{info.height}",
        "frames": info.frames,
        "longest_gop": max(np.diff(keyframes).tolist(), default=info.frames),
        "bytes": file.path.stat().st_size,
    }


def _rounds(
    files: Sequence[BenchFile], rounds: int, core: int
) -> tuple[dict[str, dict[str, list[dict[str, float]]]], dict[str, str], dict[str, str]]:
    """Way -> file -> what each round spent; versions; the absent with the reason. One round more warms up."""
    with ExitStack() as stack:
        servers, versions, absent = _start(stack, core)
        spent: dict[str, dict[str, list[dict[str, float]]]] = {
            reader: {file.name: [] for file in files} for reader in servers
        }
        for number, file, (reader, server) in product(range(rounds + 1), files, servers.items()):
            if file is files[0] and reader == next(iter(servers)):
                measure.announce(f"round {number} of {rounds}" if number else "once to warm up")
            if reader not in FLOWS or number == rounds:
                taken = server.ask(file.task(number, clips=1 if reader in FLOWS else CLIPS))
                if number > 0:
                    spent[reader][file.name].append(taken)
    for reader in FLOWS & spent.keys():
        for each in spent[reader].values():
            each[0] = {clock: value * (FRAMES - 1) for clock, value in each[0].items()}
    if "ffmpeg" in spent:
        _without_start(spent["ffmpeg"], spent.pop("ffmpeg's start"))
    return spent, versions, absent


def _start(stack: ExitStack, core: int) -> tuple[dict[str, "_Server"], dict[str, str], dict[str, str]]:
    """The ways that are there, with their versions; those that are absent, with the reason."""
    servers, versions, absent = {}, {}, {}
    for reader in READERS:
        if reader.startswith("ffmpeg") and shutil.which("ffmpeg") is None:
            absent[reader] = "no program ffmpeg on the PATH"
            continue
        server = stack.enter_context(_Server(reader, core))
        if "absent" in server.hello:
            absent[reader] = server.hello["absent"]
        else:
            servers[reader], versions[reader] = server, server.hello["version"]
    if "ffmpeg" in servers:
        told = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True)
        versions["ffmpeg"] = told.stdout.split()[2]
    return servers, versions, absent


def _without_start(
    spent: dict[str, list[dict[str, float]]], start: dict[str, list[dict[str, float]]]
) -> None:
    """Take, in place, what the program needs to start off what it needs for a clip."""
    for name, each in spent.items():
        needed = {clock: median(one[clock] for one in start[name]) for clock in each[0]}
        spent[name] = [{clock: value - needed[clock] for clock, value in one.items()} for one in each]


def _medians(spent: dict[str, dict[str, list[dict[str, float]]]], clock: str) -> dict[str, dict[str, float]]:
    return {
        reader: {name: median(one[clock] for one in each) for name, each in files.items()}
        for reader, files in spent.items()
    }


def _relative(spent: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, dict[str, list[float]]]:
    """Speed against ffmpeg's on the same clips in the same round, by processor time: quartiles of rounds."""
    found: dict[str, dict[str, list[float]]] = {}
    for reader, files in spent.items():
        for name, each in files.items():
            pairs = zip(spent["ffmpeg"][name], each, strict=reader not in FLOWS)
            against = [theirs["cpu_ms"] / own["cpu_ms"] for theirs, own in pairs]
            found.setdefault(reader, {})[name] = np.quantile(against, (0.25, 0.5, 0.75)).tolist()
    return found


class _Server:
    """A process of `decoders`, as long as the context lasts."""

    def __init__(self, reader: str, core: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mvcgc.bench.decoders", reader, str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._reader = reader
        self.hello = self._answer()

    def __enter__(self) -> "_Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, task: DecodeTask) -> dict[str, float]:
        """Return what the task took."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(task)) + "\n")
        self._process.stdin.flush()
        answer: dict[str, float] = self._answer()
        return answer

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UserError(f"bench decode: {self._reader} ended with exit code {self._process.wait()}")
        return json.loads(line)


def _ask(what: str, question: dict[str, Any], core: int) -> list[dict[str, float]]:
    measure.announce(what)
    done = subprocess.run(
        [sys.executable, "-m", "mvcgc.bench.decode_profile", what, str(core)],
        input=json.dumps(question) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    answer: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return answer
