"""What all measurements share: the machine they are of, rounds, clocks, and how a result is told and kept."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from mvcgc.files import write_atomic
from mvcgc.stages.provenance import processor

_GPU_EVERY_S = 0.2


@dataclass(frozen=True)
class Environment:
    """What a figure depends on beside the code; ``load`` is the load average as the measurement begins."""

    cpu: str
    cores: int
    memory_gb: float
    gpus: list[str]
    system: str
    python: str
    torch: str
    load: float

    def text(self) -> str:
        """On one line."""
        gpus = ", ".join(self.gpus) or "no GPU"
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gb:.0f} GB, {gpus}; {self.system}, "
            f"Python {self.python}, torch {self.torch}; load average {self.load:.1f} at the start"
        )


def environment() -> Environment:
    """This one."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Environment(
        cpu=processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(memory / 2**30, 1),
        gpus=[torch.cuda.get_device_name(number) for number in range(count)],
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        torch=torch.__version__,
        load=round(os.getloadavg()[0], 1),
    )


@dataclass(frozen=True)
class BenchReport:
    """One measurement: ``figures`` is plain data, ``sections`` are Markdown."""

    name: str
    title: str
    machine: Environment
    figures: dict[str, Any]
    sections: list[str]

    def json(self) -> str:
        """All figures, on one line."""
        return json.dumps({"bench": self.name, "machine": asdict(self.machine), **self.figures})

    def text(self) -> str:
        """For people, as Markdown."""
        return "\n\n".join([f"# {self.title}", self.machine.text(), *self.sections]) + "\n"

    def write(self, folder: Path) -> None:
        """Leave NAME.json and NAME.md in ``folder``."""
        content = json.dumps(json.loads(self.json()), indent=2) + "\n"
        write_atomic(folder / f"{self.name}.json", content)
        write_atomic(folder / f"{self.name}.md", self.text())


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers keep three digits."""
    cells = [list(head), *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    cells.insert(1, ["-" * width for width in widths])
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


@dataclass(frozen=True)
class Elapsed:
    """Seconds on the clock, and of this process's threads on processors; on a GPU its work is waited for."""

    wall: float
    cpu: float


def timed(work: Callable[[], object], device: torch.device) -> Elapsed:
    """Return what ``work`` takes."""
    synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    synchronize(device)
    return Elapsed(time.perf_counter() - wall, time.process_time() - cpu)


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_rounds(
    cases: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, list[Elapsed]]:
    """Time all cases in turns, so that other work on the machine meets all alike; a round more warms up."""
    spent: dict[str, list[Elapsed]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, work in cases.items():
            taken = timed(work, device)
            if number > 0:
                spent[name].append(taken)
    return spent


def announce(what: str) -> None:
    """Let who waits know what is measured now."""
    print(f"measuring {what}", file=sys.stderr, flush=True)


class PhaseClock:
    """Seconds spent in each phase of a step (see `mvcgc.phases`), without what lies in phases within it.

    On CPUs seconds of this process on processors, which other processes cannot lengthen; on a GPU seconds on
    the clock, its work waited for at each phase's ends, which takes from the overlap that a step really has.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """The observer to give to `mvcgc.phases.observed`."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        synchronize(self._device)
        now = time.perf_counter() if self._device.type == "cuda" else time.process_time()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now


class GpuUse:
    """The mean utilisation of a GPU in per cent within ``with``, by nvidia-smi; None without either."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._watched = device.type == "cuda" and shutil.which("nvidia-smi") is not None
        self._samples: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def mean(self) -> float | None:
        """Per cent of the time in which the GPU computed anything."""
        return statistics.fmean(self._samples) if self._samples else None

    def __enter__(self) -> "GpuUse":
        if self._watched:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._watched:
            self._thread.join()

    def _watch(self) -> None:
        which = str(torch.cuda.get_device_properties(self._device).uuid)
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._over.wait(_GPU_EVERY_S):
            done = subprocess.run([*query, f"--id=GPU-{which}"], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                self._samples.append(float(done.stdout.split()[0]))


def children_cpu() -> float:
    """Seconds on processors of all running processes below this one (Linux)."""
    ticks, left = 0, _children(os.getpid())
    while left:
        number = left.pop()
        try:
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        ticks += int(fields[11]) + int(fields[12])
        left += _children(number)
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(number: int) -> list[int]:
    return [
        int(child)
        for path in Path(f"/proc/{number}/task").glob("*/children")
        for child in path.read_text().split()
    ]
