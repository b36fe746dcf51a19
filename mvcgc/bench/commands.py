"""The command line of `mvcgc bench`."""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mvcgc.bench import decode, decode_report, launch, loader, scale, scan, train
from mvcgc.bench.measure import BenchReport
from mvcgc.bench.workload import Shape
from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.models.backbone import Layered

HERE = ("decode", "scan", "loader", "train", "scale")
"""What needs no more than this machine: `mvcgc bench all`."""

_LEAST = {
    "rounds": 1,
    "jobs": 1,
    "videos": 20,
    "frames": Layered.min_frames,
    "size": Layered.min_side,
    "batch": 2,
}
_BACKBONE = "options of the group backbone, yours too (default: %(default)s)"


def add_to(subjects: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Give ``mvcgc bench`` its subjects."""
    text = "our SLURM launcher beside Hydra's own, on trivial jobs"
    launching = _add(subjects, "launch", _launch, text, ("rounds", 3), ("jobs", 6))
    launching.add_argument("--partition", help="where to (default: the cluster's own)")

    text = "RGB and motion vectors from files, beside other readers"
    decoding = _add(subjects, "decode", _decode, text, ("rounds", 15))
    _take_files(decoding)
    decoding.add_argument(
        "--memory",
        type=int,
        default=5000,
        metavar="CLIPS",
        help="watch the memory over so many (default: %(default)s)",
    )

    text = "files/s of the probe against ffprobe; load time and memory of a large manifest"
    scanning = _add(subjects, "scan", _scan, text, ("rounds", 7), ("videos", 300_000))
    _take_files(scanning)

    text = "samples/s from files to augmented clips on the device, against workers"
    reading = _add(subjects, "loader", _loader, text, *_defaults(Shape(32, 128, 8), 3))
    reading.add_argument(
        "--workers", type=int, nargs="+", default=[0, 1, 2], help="numbers of processes (default: 0 1 2)"
    )
    _take_device(reading)

    text = "clips/s of a pre-training step, where its time goes, and beside the same step written plainly"
    stepping = _add(subjects, "train", _train, text, *_defaults(Shape(16, 64, 16), 5))
    _take_device(stepping)
    stepping.add_argument("--backbone", nargs="+", default=["s3d", "r2plus1d_4"], help=_BACKBONE)
    stepping.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    stepping.add_argument("--workers", type=int, default=1, help="that read videos (default: %(default)s)")

    text = "1, 2 and 4 ranks on this machine, what they communicate, and a model of up to 64 GPUs"
    scaling = _add(subjects, "scale", _scale, text, *_defaults(Shape(16, 64, 4), 3))
    _take_device(scaling)
    scaling.add_argument("--backbone", default="s3d", help=_BACKBONE)

    text = f"{', '.join(HERE)}, one after the other, as they are by default"
    whole = subjects.add_parser("all", help=text, description=text)
    whole.set_defaults(command=_all)
    whole.add_argument("--out", type=Path, metavar="DIR", required=True, help="write all reports there")
    whole.add_argument("--files", nargs="+", type=Path, default=[], help="videos (default: synthetic ones)")


def _add(
    subjects: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    function: Callable[[argparse.Namespace], BenchReport],
    text: str,
    *defaults: tuple[str, int],
) -> argparse.ArgumentParser:
    added = subjects.add_parser(name, help=text, description=text)
    added.set_defaults(command=lambda parsed: _report(parsed, function))
    added.add_argument("--json", action="store_true", help="print one line of JSON")
    added.add_argument("--out", type=Path, metavar="DIR", help=f"write {name}.json and {name}.md there")
    for key, value in defaults:
        added.add_argument(f"--{key}", type=int, default=value, help="default: %(default)s")
    return added


def _defaults(shape: Shape, rounds: int) -> list[tuple[str, int]]:
    return [("rounds", rounds), *vars(shape).items()]


def _take_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--files", nargs="+", type=Path, default=[], help="videos (default: synthetic ones)")


def _take_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", choices=[device.value for device in Device])


def _report(parsed: argparse.Namespace, function: Callable[[argparse.Namespace], BenchReport]) -> None:
    for key, least in _LEAST.items():
        if getattr(parsed, key, least) < least:
            raise UserError(f"--{key} {getattr(parsed, key)}: give at least {least}")
    report = function(parsed)
    print(report.json() if parsed.json else report.text())
    if parsed.out is not None:
        report.write(parsed.out)
        if report.name == "decode":
            decode_report.chart(report.figures, parsed.out / "decode.png")


def _all(parsed: argparse.Namespace) -> None:
    files = {"decode": ["--files", *map(str, parsed.files)]} if parsed.files else {}
    for name in HERE:
        # Each in a process of its own: threads and memory of one are no part of another.
        command = [sys.executable, "-m", "mvcgc.cli", "bench", name, "--out", str(parsed.out)]
        if subprocess.run([*command, *files.get(name, [])], check=False).returncode:
            raise UserError(f"bench {name} failed, see above; what was measured before is in {parsed.out}")


def _launch(parsed: argparse.Namespace) -> BenchReport:
    return launch.run(parsed.jobs, parsed.partition, parsed.rounds)


def _decode(parsed: argparse.Namespace) -> BenchReport:
    return decode.run(parsed.files, parsed.rounds, parsed.memory)


def _shape(parsed: argparse.Namespace) -> Shape:
    return Shape(parsed.frames, parsed.size, parsed.batch)


def _scan(parsed: argparse.Namespace) -> BenchReport:
    return scan.run(parsed.files, parsed.rounds, parsed.videos)


def _loader(parsed: argparse.Namespace) -> BenchReport:
    return loader.run(_shape(parsed), parsed.workers, Device(parsed.device), parsed.rounds)


def _train(parsed: argparse.Namespace) -> BenchReport:
    config = train.BenchConfig(Device(parsed.device), parsed.threads, parsed.rounds, parsed.workers)
    return train.run(parsed.backbone, _shape(parsed), config)


def _scale(parsed: argparse.Namespace) -> BenchReport:
    return scale.run(parsed.backbone, _shape(parsed), Device(parsed.device), parsed.rounds)
