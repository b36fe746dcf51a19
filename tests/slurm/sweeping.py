"""Sweeps of real stages at a tiny scale, started as a user starts them, and what is left of them."""

import csv
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvcgc.runs.folder import StageFolder
from mvcgc.runs.journal import read
from mvcgc.runs.journal.reader import records

STAGES = ("init", "cross", "retrieve")
TWO_RANKS = tuple(f"resources.{stage}.ranks=2" for stage in STAGES)
ON_SLURM = ("hydra/launcher=slurm", "slurm=local", *(f"resources.{stage}.nodes=2" for stage in STAGES))
# Columns of a table that say when, from which state of the code and by which command.
NOT_RESULTS = ("finished", "commit", "command")
# Figures of a journal that say how fast it went.
NOT_METRICS = ("clips_per_s", "data_wait")


@dataclass
class Started:
    """A command that runs."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        """Return what it has printed so far."""
        return self.output.read_text()

    def kill(self) -> None:
        """With SIGKILL: it can do nothing about it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def wait(self, seconds: float = 1500) -> int:
        """Its exit code."""
        return self.process.wait(seconds)


@dataclass(frozen=True)
class Sweep:
    """All runs of one sweep in a folder of their own; ``arguments`` say which rows, on which data."""

    folder: Path
    arguments: Sequence[str]

    @property
    def root(self) -> Path:
        """The root of its runs."""
        return self.folder / "runs"

    def start(self, *arguments: str) -> Started:
        """``python -m mvcgc.run -m`` with ``arguments`` besides its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        output = self.folder / f"said-{len(list(self.folder.glob('said-*')))}"
        line = [sys.executable, "-m", "mvcgc.run", "-m", "tracking=off", f"root={self.root}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        with output.open("wb") as file:
            streams: dict[str, Any] = {"stdout": file, "stderr": file, "cwd": self.folder, "env": environment}
            return Started(subprocess.Popen([*line, *self.arguments, *arguments], **streams), output)

    def run(self, *arguments: str) -> Started:
        """The same, to its end, which has to be a good one."""
        started = self.start(*arguments)
        assert started.wait() == 0, started.said
        return started

    @property
    def table(self) -> list[dict[str, str]]:
        """The written table, without what no two runs have in common."""
        (path,) = self.folder.glob("results/*/*.csv")
        with path.open(newline="") as file:
            return [
                {name: value for name, value in row.items() if name not in NOT_RESULTS}
                for row in csv.DictReader(file)
            ]

    @property
    def stages(self) -> dict[str, StageFolder]:
        """The folders of its stages by id."""
        # Unlike rglob, it bears checkpoints' folders that go meanwhile.
        walked = os.walk(self.root / "stages")
        found = [Path(folder) for folder, _, files in walked if "config.yaml" in files]
        return {str(path.relative_to(self.root / "stages")): StageFolder(path) for path in sorted(found)}

    @property
    def outputs(self) -> dict[str, dict[str, str]]:
        """What the finished stages have made: hashes of their files, and their headline metrics exactly."""
        made = {}
        for name, folder in self.stages.items():
            done = folder.verify_done()
            made[name] = {path: output.sha256 for path, output in done.outputs.items()}
            made[name] |= {key: value.hex() for key, value in done.metrics.items() if key not in NOT_METRICS}
        return made

    @property
    def figures(self) -> dict[str, dict[str, list[tuple[int, str]]]]:
        """Every figure of the journals, exactly: by stage and metric, the steps and values."""
        return {
            name: {
                metric: [(point.step, point.value.hex()) for point in points]
                for metric, points in read(folder.journal).points.items()
                if metric not in NOT_METRICS
            }
            for name, folder in self.stages.items()
        }

    def attempts(self, stage: str) -> list[dict[str, Any]]:
        """The attempts that came to train: from which step, to which, of how many, and how they ended."""
        found = []
        folder = self.stages[stage].journal
        for path in sorted(folder.glob("*.jsonl"), key=lambda path: int(path.stem)):
            told: dict[str, list[dict[str, Any]]] = {}
            for _, record in records(path):
                if record is not None:
                    told.setdefault(record["kind"], []).append(record)
            if "begin" in told:
                attempt = {
                    "from": told["resume"][0]["from_step"] if "resume" in told else 0,
                    "to": told["metrics"][-1]["step"] if "metrics" in told else 0,
                    "of": told["begin"][0]["total_steps"],
                    "end": told["end"][0]["status"] if "end" in told else "",
                }
                found.append(attempt)
        return found

    @property
    def jobs(self) -> Counter[str]:
        """Return how many jobs each stage has had.

        Each leaves its script, or, if the submitter was killed in between, no more than its output.
        """
        left = {
            name: [*folder.path.glob("slurm/*_submission.sh"), *folder.path.glob("slurm/*_0_log.out")]
            for name, folder in self.stages.items()
        }
        ids = {name: {path.name.split("_")[0] for path in paths} for name, paths in left.items()}
        return Counter({name: len(jobs) for name, jobs in ids.items()})

    def job_of(self, stage: str) -> str:
        """The job that holds a stage's lock, '' if none does."""
        owner = self.stages[stage].owner
        return owner.job.rpartition(":")[2] if owner else ""
