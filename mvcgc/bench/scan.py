"""``mvcgc bench scan``: the probe against ffprobe, and the cost of a large manifest."""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from mvcgc.bench import measure
from mvcgc.bench.decode import synthetic_files
from mvcgc.data.index.manifest import Manifest, load, publish
from mvcgc.data.index.videos import Video
from mvcgc.errors import UserError
from mvcgc.video import VideoError, VideoInfo, probe

COUNT = "ffprobe -v error -threads 1 -select_streams v:0 -count_frames -show_entries stream=nb_read_frames"

Count = Callable[[Path], object]


@dataclass(frozen=True)
class ProbeTime:
    """Median CPU time per file over rounds, in ms; ``ffprobe_ms`` is None if ffprobe is not installed."""

    name: str
    frames: int
    megabytes: float
    mvcgc_ms: float
    ffprobe_ms: float | None


@dataclass(frozen=True)
class ManifestCost:
    """Seconds to write a manifest, digest included, and to load it; memory of a rank in MB.

    ``own_mb`` is private memory of the process, ``mapped_mb`` the file, which the ranks of a node share.
    """

    videos: int
    write_s: float
    load_s: float
    own_mb: float
    mapped_mb: float


def run(given: Sequence[Path], rounds: int, videos: int) -> measure.BenchReport:
    """Measure on the ``given`` files, or on synthetic ones. Raises UserError for a bad file."""
    here = measure.environment()
    with tempfile.TemporaryDirectory() as folder:
        paths = list(given or synthetic_files(Path(folder)))
        infos = {path: _probed(path) for path in paths}
        times = [_time(path, info.frames, rounds) for path, info in infos.items()]
        cost = _manifest(Path(folder), next(iter(infos.values())), videos)
    return _report(here, times, cost, rounds)


def _probed(path: Path) -> VideoInfo:
    try:
        return probe(path)
    except VideoError as error:
        raise UserError(f"bench scan --files: {error}") from error


def _time(path: Path, frames: int, rounds: int) -> ProbeTime:
    counts: dict[str, Count] = {"mvcgc": probe}
    if shutil.which("ffprobe"):
        counts["ffprobe"] = _ffprobe
    spent: dict[str, list[float]] = {name: [] for name in counts}
    for number in range(rounds + 1):  # the first fills the disk's cache
        for name, count in counts.items():
            before = _cpu_s()
            count(path)
            taken = _cpu_s() - before
            if number > 0:
                spent[name].append(1e3 * taken)
    theirs = median(spent["ffprobe"]) if "ffprobe" in spent else None
    return ProbeTime(path.name, frames, path.stat().st_size / 1e6, median(spent["mvcgc"]), theirs)


def _cpu_s() -> float:
    """Return the CPU time in seconds of this process and its finished children."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def _ffprobe(path: Path) -> None:
    subprocess.run([*COUNT.split(), str(path.absolute())], check=True, capture_output=True)


def _manifest(folder: Path, info: VideoInfo, videos: int) -> ManifestCost:
    """Write a manifest of ``videos`` entries like Kinetics's, and load it in a new process."""
    made = [
        Video(
            f"train/{number % 400:03d}/{number:011d}_000010_000020.mp4",
            10**6 + number,
            number % 400,
            f"{number:011d}",
            "train" if number % 20 else "val",
            replace(info, origin=number),
        )
        for number in range(videos)
    ]
    manifest = Manifest("many", folder, [f"class {number}" for number in range(400)], made, [], carved=False)
    started = time.perf_counter()
    path = publish(manifest, folder)
    written = time.perf_counter() - started
    command = [sys.executable, "-m", "mvcgc.bench.scan", str(path)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return ManifestCost(videos, written, told["load_s"], told["own_mb"], path.stat().st_size / 1e6)


def load_alone(path: Path) -> dict[str, float]:
    """Load a manifest as a rank does; return the seconds, and the private memory added in MB."""
    before, started = _own_mb(), time.perf_counter()
    manifest = load(path)
    ids = manifest.training()
    assert manifest.digest, manifest.group(ids[-1])
    return {"load_s": time.perf_counter() - started, "own_mb": _own_mb() - before}


def _own_mb() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) * 1024 / 1e6


def _report(
    here: measure.Environment, times: Sequence[ProbeTime], cost: ManifestCost, rounds: int
) -> measure.BenchReport:
    rows = [
        [
            one.name,
            one.frames,
            one.megabytes,
            *(1e3 / one.mvcgc_ms, 1e3 * one.megabytes / one.mvcgc_ms),
            "-" if one.ffprobe_ms is None else 1e3 / one.ffprobe_ms,
            "-" if one.ffprobe_ms is None else f"{one.ffprobe_ms / one.mvcgc_ms:.2f}x",
        ]
        for one in times
    ]
    head = ["file", "frames", "MB", "files/s", "MB/s", "ffprobe, files/s", "speed against ffprobe"]
    sections = [
        "Files per second of CPU time on one core, with a warm page cache; medians of "
        f"{rounds} interleaved rounds. Our probe decodes every frame and finds the keyframes that seeking "
        "reaches. `ffprobe -count_frames` decodes every frame; its start-up time is included.",
        measure.markdown_table(head, rows),
        f"A manifest of {cost.videos:,} videos takes {cost.write_s:.1f} s to write, once. A rank loads it in "
        f"{cost.load_s:.2f} s. It adds {cost.own_mb:.0f} MB of private memory to the rank; the ranks of a "
        f"node share the {cost.mapped_mb:.0f} MB of the mapped file.",
    ]
    figures = {"rounds": rounds, "files": [asdict(one) for one in times], "manifest": asdict(cost)}
    return measure.BenchReport("scan", "Scanning a dataset", here, figures, sections)


if __name__ == "__main__":
    print(json.dumps(load_alone(Path(sys.argv[1]))))
