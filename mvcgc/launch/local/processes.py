"""The processes of one attempt at a stage on this machine: one per rank, ending together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.launch.logs import last_line

# Exit code of a rank that was asked to stop and saved its checkpoint.
CHECKPOINTED = 3
# Grace period for the other ranks once one has failed: without it they hang in a collective.
LAST_WORDS_S = 5.0
DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")


@dataclass
class RankProcesses:
    """Running or ended processes, by rank, and their logs."""

    processes: list[subprocess.Popen[bytes]]
    logs: list[Path]
    _failed_at: float | None = field(default=None, init=False)
    # The exit codes before the remaining processes were killed: they tell the cause.
    _own_codes: list[int | None] | None = field(default=None, init=False)

    @classmethod
    def start(
        cls, command: Sequence[str], logs: Sequence[Path], environment: Mapping[str, str]
    ) -> "RankProcesses":
        """Start ``command`` once per log, with ``environment`` and the variables that make it a rank."""
        world = str(len(logs))
        shared = {
            **environment,
            "WORLD_SIZE": world,
            "LOCAL_WORLD_SIZE": world,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
        }
        ranks = cls([], list(logs))
        try:
            for rank, log in enumerate(logs):
                place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                ranks.processes.append(_start(command, log, {**shared, **place}))
        except OSError:
            ranks.kill()
            raise
        return ranks

    @property
    def pids(self) -> list[int]:
        """The process ids."""
        return [process.pid for process in self.processes]

    def poll(self) -> bool:
        """Return True if all have ended; kill the others moments after a rank has failed."""
        codes = [process.poll() for process in self.processes]
        if None not in codes:
            return True
        if any(code not in (None, 0, CHECKPOINTED) for code in codes):
            now = time.monotonic()
            self._failed_at = self._failed_at or now
            if now - self._failed_at > LAST_WORDS_S:
                self.kill()
        return False

    @property
    def checkpointed(self) -> bool:
        """True if they ended because they were asked to, ready to resume."""
        codes = {process.returncode for process in self.processes}
        return CHECKPOINTED in codes and codes <= {0, CHECKPOINTED}

    def ask_to_stop(self) -> None:
        """Ask them to save a checkpoint at the next step and end; signals none of their children."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill them with all their children, and wait for their ends."""
        if self._own_codes is None:
            self._own_codes = [process.poll() for process in self.processes]
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # the whole group is gone
        for process in self.processes:
            process.wait()

    @property
    def killed_rank(self) -> int | None:
        """The first rank that a signal of another process killed; None if there is none."""
        return next((rank for rank, code in enumerate(self._codes) if code is not None and code < 0), None)

    def what_happened(self) -> tuple[str, int]:
        """Return (reason, rank) of a failure: the rank that a signal killed, if any.

        The other ranks then failed because it was gone.
        """
        codes, killed = self._codes, self.killed_rank
        if killed is not None:
            number = -(codes[killed] or 0)
            hint = ", perhaps for want of memory" if number == signal.SIGKILL else ""
            return f"rank {killed} was killed by {signal.Signals(number).name}{hint}", killed
        for rank, code in enumerate(codes):
            if code not in (None, 0, CHECKPOINTED):
                last = last_line(self.logs[rank])
                return f"rank {rank} exited with code {code}" + (f": {last}" if last else ""), rank
        if any(process.returncode == CHECKPOINTED for process in self.processes):
            return "interrupted too often", 0
        return "its ranks ended well, but it has no valid DONE.json", 0

    @property
    def _codes(self) -> list[int | None]:
        return self._own_codes or [process.returncode for process in self.processes]


def _start(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    wrapper = [sys.executable, "-I", "-S", str(DIE_WITH_PARENT), str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*wrapper, *command],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Its own session: Ctrl-C on the terminal reaches the executor only, which then asks the ranks.
            start_new_session=True,
        )


def free_port() -> int:
    """Return a TCP port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port
