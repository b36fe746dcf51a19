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
from mvcgc.bench.decoders import FRAMES, WAYS, Job
from mvcgc.data.demo.textures import background
from mvcgc.errors import UserError
from mvcgc.video import VideoError, VideoInfo, encode, probe

CLIPS = 4
"""Clips of a file that a way reads in its turn: few, so that a machine that slows down slows down all."""

FLOWS = frozenset(way for way in WAYS if way.startswith(("TV-L1", "DIS")))
"""Timed for one pair of pictures, told for the 31 of a clip; once, since TV-L1 takes seconds."""

KINDS: dict[str, dict[str, Any]] = {
    "MPEG-4 GOP 12.avi": {"codec": "mpeg4", "gop": 12},
    "MPEG-4 one GOP with B.avi": {"codec": "mpeg4", "gop": 300, "bframes": 2},
    "H.264 GOP 250 with B.mp4": {"codec": "h264", "gop": 250, "bframes": 3},
    "H.264 GOP 12 with B.mp4": {"codec": "h264", "gop": 12, "bframes": 2},
}
"""What is made where no files are given: name -> how `encode` writes it."""


@dataclass(frozen=True)
class Probed:
    """A file of the bench."""

    name: str
    path: Path
    info: VideoInfo

    def job(self, seed: int, clips: int = CLIPS) -> Job:
        """Random clips, the same for the same seed."""
        rng = random.Random(seed)
        starts = [rng.randrange(self.info.frames - FRAMES + 1) for _ in range(clips)]
        return Job(str(self.path.absolute()), self.info.to_dict(), starts)


def run(given: Sequence[Path], rounds: int, clips_for_memory: int) -> measure.Report:
    """Measure on the ``given`` files, or on made ones. Raises UserError for files that will not do."""
    here, core = measure.machine(), min(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        files = [_probed(path) for path in given or _made(Path(folder))]
        spent, versions, absent = _rounds(files, rounds, core)
        jobs = [asdict(file.job(seed=0, clips=40)) for file in files]
        phases = _ask("phases", {"jobs": jobs}, core)
        colour = _ask("colour", {"jobs": jobs}, core)
        memory = _ask("memory", {"jobs": jobs, "clips": clips_for_memory}, core)
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


def _probed(path: Path) -> Probed:
    try:
        info = probe(path)
    except VideoError as error:
        raise UserError(f"bench decode --files: {error}") from error
    if info.frames < 2 * FRAMES or not info.vectors:
        raise UserError(f"bench decode --files: {path}: needs motion vectors and {2 * FRAMES} frames or more")
    return Probed(path.stem, path, info)


def _made(folder: Path) -> Iterator[Path]:
    """A file of each kind: a part of a large picture wanders over another one, with noise."""
    for name, how in KINDS.items():
        print(f"making {name}", file=sys.stderr)
        encode(folder / name, _pictures(300), **how)
        yield folder / name


def _pictures(frames: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    behind, before = (background(rng, 640) for _ in range(2))
    for t in range(frames):
        y, x = int(120 + 60 * np.sin(t / 23)), int(160 + 100 * np.sin(t / 31))
        picture = behind[y : y + 240, x : x + 320].copy()
        top, left = int(70 + 60 * np.sin(t / 11)), int(110 + 100 * np.cos(t / 17))
        picture[top : top + 100, left : left + 100] = before[200:300, 200:300] + 80
        yield np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def _described(file: Probed) -> dict[str, Any]:
    info, keyframes = file.info, [*file.info.keyframes, file.info.frames]
    return {
        "codec": info.codec,
        "size": f"{info.width}x{info.height}",
        "frames": info.frames,
        "longest_gop": max(np.diff(keyframes).tolist(), default=info.frames),
        "bytes": file.path.stat().st_size,
    }


def _rounds(
    files: Sequence[Probed], rounds: int, core: int
) -> tuple[dict[str, dict[str, list[dict[str, float]]]], dict[str, str], dict[str, str]]:
    """Way -> file -> what each round spent; versions; the absent with the reason. One round more warms up."""
    with ExitStack() as stack:
        servers, versions, absent = _start(stack, core)
        spent: dict[str, dict[str, list[dict[str, float]]]] = {
            way: {file.name: [] for file in files} for way in servers
        }
        for number, file, (way, server) in product(range(rounds + 1), files, servers.items()):
            if file is files[0] and way == next(iter(servers)):
                measure.tell(f"round {number} of {rounds}" if number else "once to warm up")
            if way not in FLOWS or number == rounds:
                taken = server.ask(file.job(number, clips=1 if way in FLOWS else CLIPS))
                if number > 0:
                    spent[way][file.name].append(taken)
    for way in FLOWS & spent.keys():
        for each in spent[way].values():
            each[0] = {clock: value * (FRAMES - 1) for clock, value in each[0].items()}
    if "ffmpeg" in spent:
        _without_start(spent["ffmpeg"], spent.pop("ffmpeg's start"))
    return spent, versions, absent


def _start(stack: ExitStack, core: int) -> tuple[dict[str, "_Server"], dict[str, str], dict[str, str]]:
    """The ways that are there, with their versions; those that are absent, with the reason."""
    servers, versions, absent = {}, {}, {}
    for way in WAYS:
        if way.startswith("ffmpeg") and shutil.which("ffmpeg") is None:
            absent[way] = "no program ffmpeg on the PATH"
            continue
        server = stack.enter_context(_Server(way, core))
        if "absent" in server.hello:
            absent[way] = server.hello["absent"]
        else:
            servers[way], versions[way] = server, server.hello["version"]
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
        way: {name: median(one[clock] for one in each) for name, each in files.items()}
        for way, files in spent.items()
    }


def _relative(spent: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, dict[str, list[float]]]:
    """Speed against ffmpeg's on the same clips in the same round, by processor time: quartiles of rounds."""
    found: dict[str, dict[str, list[float]]] = {}
    for way, files in spent.items():
        for name, each in files.items():
            pairs = zip(spent["ffmpeg"][name], each, strict=way not in FLOWS)
            against = [theirs["cpu_ms"] / own["cpu_ms"] for theirs, own in pairs]
            found.setdefault(way, {})[name] = np.quantile(against, (0.25, 0.5, 0.75)).tolist()
    return found


class _Server:
    """A process of `decoders`, as long as the context lasts."""

    def __init__(self, way: str, core: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mvcgc.bench.decoders", way, str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._way = way
        self.hello = self._answer()

    def __enter__(self) -> "_Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, job: Job) -> dict[str, float]:
        """What the job took."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        answer: dict[str, float] = self._answer()
        return answer

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UserError(f"bench decode: {self._way} ended with exit code {self._process.wait()}")
        return json.loads(line)


def _ask(what: str, question: dict[str, Any], core: int) -> list[dict[str, float]]:
    measure.tell(what)
    done = subprocess.run(
        [sys.executable, "-m", "mvcgc.bench.profile", what, str(core)],
        input=json.dumps(question) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    answer: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return answer
