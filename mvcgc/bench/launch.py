"""What launching costs: our SLURM launcher beside Hydra's own, each in its own process, on trivial jobs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mvcgc.errors import UserError
from mvcgc.launch.slurm import queue


@dataclass(frozen=True)
class Timing:
    """Seconds of one submission, and from the launcher's start to the last submission and to its end.

    Both compose in that time, ours plans, too; imports, which are the application's, are left out for both.
    """

    per_job_s: float
    submitted_s: float
    total_s: float


@dataclass(frozen=True)
class Comparison:
    """Both launchers on the same number of jobs, which wait for nothing; each the best of ``rounds``."""

    cluster: str
    jobs: int
    rounds: int
    ours: Timing
    stock: Timing

    def json(self) -> str:
        """On one line."""
        return json.dumps(asdict(self))

    def text(self) -> str:
        """For people."""
        lines = [f"{self.jobs} trivial jobs on {self.cluster}, the best of {self.rounds} rounds, in seconds"]
        lines += [f"{'':24}{'ours':>8}{'stock':>8}"]
        for label, name in (
            ("submission, per job", "per_job_s"),
            ("until all are submitted", "submitted_s"),
            ("until all have ended", "total_s"),
        ):
            lines.append(f"{label:24}{getattr(self.ours, name):8.3f}{getattr(self.stock, name):8.3f}")
        return "\n".join(lines)


def compare(jobs: int, partition: str | None, rounds: int) -> Comparison:
    """Run both in turns. Raises UserError where SLURM cannot be asked, or a launcher fails."""
    try:
        cluster = queue.cluster_name()
    except queue.QueueUnavailable as error:
        raise UserError(f"bench launch: {error}; slurm/local-cluster up starts a cluster here") from error
    # Jobs and this process must both see the folder: the current one is as good a guess as sbatch's own.
    folder = Path(tempfile.mkdtemp(prefix=".bench-launch-", dir=Path.cwd()))
    try:
        ours, stock = [], []
        for number in range(rounds):
            ours.append(_ours(folder / f"ours{number}", jobs, partition))
            stock.append(_stock(folder / f"stock{number}", jobs, partition))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Comparison(cluster, jobs, rounds, _best(ours), _best(stock))


def _best(timings: Sequence[Timing]) -> Timing:
    return Timing(*(min(getattr(timing, name) for timing in timings) for name in asdict(timings[0])))


def _ours(folder: Path, jobs: int, partition: str | None) -> Timing:
    return _timed([sys.executable, "-m", "mvcgc.bench.ours", str(folder), str(jobs), partition or ""], jobs)


def _stock(folder: Path, jobs: int, partition: str | None) -> Timing:
    settings = {"submitit_folder": f"{folder}/%j", "mem_gb": 1, "timeout_min": 10, "cpus_per_task": 1}
    if partition:
        settings["partition"] = partition
    overrides = [f"hydra.launcher.{key}={value}" for key, value in settings.items()]
    numbers = ",".join(map(str, range(jobs)))
    command = ["-m", "hydra/launcher=submitit_slurm", f"+job={numbers}", f"hydra.sweep.dir={folder}"]
    return _timed([sys.executable, "-m", "mvcgc.bench.stock", *command, *overrides], jobs)


def _timed(command: Sequence[str], jobs: int) -> Timing:
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.strip().splitlines()[-3:])
        raise UserError(f"{' '.join(command[1:3])} ended with exit code {done.returncode}: {said}")
    timing = json.loads(done.stdout.splitlines()[-1])
    return Timing(
        per_job_s=timing["submitting_s"] / jobs,
        submitted_s=timing["submitted_at"] - timing["started_at"],
        total_s=timing["ended_at"] - timing["started_at"],
    )
