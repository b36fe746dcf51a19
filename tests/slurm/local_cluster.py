"""slurm/local-cluster from a test: its daemons, its jobs, and the processes of a job."""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

from mvcgc.launch.slurm.batch_script import RANK

SCRIPT = Path(__file__).resolve().parents[2] / "slurm" / "local-cluster"
T = TypeVar("T")


def wait_for(look: Callable[[], T], what: str, seconds: float = 900) -> T:
    """The first thing worth having that ``look`` returns."""
    deadline = monotonic() + seconds
    while not (found := look()):
        assert monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        sleep(0.2)
    return found


@dataclass(frozen=True)
class LocalCluster:
    """The cluster in the folder ``state``."""

    state: Path

    @property
    def conf(self) -> Path:
        """Return what SLURM_CONF has to name."""
        return self.state / "slurm.conf"

    def control(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run slurm/local-cluster."""
        line = [str(SCRIPT), command, "--state", str(self.state)]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)

    def ask(self, *command: str) -> list[str]:
        """The lines that one of SLURM's own commands prints."""
        environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout.splitlines()

    def daemons(self) -> dict[str, int | None]:
        """Process ids by daemon, None for one that does not run."""
        lines = [line.split(maxsplit=1) for line in self.control("status").stdout.splitlines()]
        return {
            line[0]: int(line[1]) if line[1].isdecimal() else None
            for line in lines
            if len(line) == 2 and (line[1].isdecimal() or line[1] == "does not run")
        }

    def jobs(self, *states: str) -> list[str]:
        """Ids of the jobs in the queue, or of those in some states."""
        chosen = [f"--states={','.join(states)}"] if states else []
        return self.ask("squeue", "--noheader", "--format=%i", *chosen)

    def job_field(self, job: str, field: str) -> str:
        """One field of ``scontrol show job``, '' if there is none."""
        words = " ".join(self.ask("scontrol", "show", "job", job)).split()
        return next((word.partition("=")[2] for word in words if word.startswith(f"{field}=")), "")

    def ranks(self, job: str) -> dict[int, int]:
        """Process ids of a job's ranks, without those that they have started themselves, by rank."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                pairs = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            is_rank = b"python" in command[0] and RANK.encode() in command
            if is_rank and environment.get("SLURM_JOB_ID") == job:
                found[int(environment["SLURM_PROCID"])] = int(pid)
        return found

    def send(self, job: str, number: signal.Signals) -> None:
        """Send a signal to all ranks of a job that are still there."""
        for pid in self.ranks(job).values():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def has_pending(self, job: str, number: signal.Signals) -> bool:
        """Return whether every rank of a job has a signal waiting for it, as one has that is stopped."""
        ranks = self.ranks(job).values()
        return bool(ranks) and all(_pending(pid) >> (number - 1) & 1 for pid in ranks)


def _pending(pid: int) -> int:
    """The mask of signals that wait for a process; none if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    masks = dict(line.split(":\t", 1) for line in lines)
    return int(masks["SigPnd"], 16) | int(masks["ShdPnd"], 16)
