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

from mvcgc import die_with_parent
from mvcgc.launch.logs import last_line

# Exit code of a rank that was asked to stop and saved its checkpoint.
CHECKPOINTED = 3
# Grace period for the other ranks once one has failed: without it they hang in a collective.
LAST_WORDS_S = 5.0
DIE_WITH_PARENT = Path(die_with_parent.__file__)


@dataclass
class RankProcesses:
    """Running or ended processes, by rank, and their logs."""

    processes: list[subprocess.Popen[bytes]]
    logs: list[Path]
    _failed_at: float | None = field(default=None, init=False)
    # Ranks that failed, in the order in which that was seen.
    _failed: list[int] = field(default_factory=list, init=False)
    # The exit codes before we killed what was left: those tell the cause.
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
        if self._own_codes is None:
            self._note_failures(codes)
        if None not in codes:
            return True
        if self._failed:
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
    def first_failed(self) -> int | None:
        """The rank that failed first; the others then failed for want of it. None if none has failed."""
        self._note_failures(self._codes)
        return self._failed[0] if self._failed else None

    def _note_failures(self, codes: list[int | None]) -> None:
        # NCCL's watchdog aborts healthy ranks whose peer is gone: of several seen at once, those come last.
        seen = sorted(range(len(codes)), key=lambda rank: codes[rank] == -signal.SIGABRT)
        for rank in seen:
            if (
                codes[rank] not in (None, 0, CHECKPOINTED)
                and rank not in self._failed
                and not self._own_codes
            ):
                self._failed.append(rank)

    def signal_of(self, rank: int | None) -> signal.Signals | None:
        """The signal that ended a rank and that we did not send; None if none did."""
        code = None if rank is None else self._codes[rank]
        return signal.Signals(-code) if code is not None and code < 0 else None

    def what_happened(self) -> tuple[str, int]:
        """(reason, rank) of a failure, as the processes tell it: of the rank that failed first."""
        rank = self.first_failed
        if rank is not None and (ended_by := self.signal_of(rank)):
            hint = ", perhaps for want of memory" if ended_by is signal.SIGKILL else ""
            return f"rank {rank} was killed by {ended_by.name}{hint}", rank
        if rank is not None:
            last = last_line(self.logs[rank])
            return f"rank {rank} exited with code {self._codes[rank]}" + (f": {last}" if last else ""), rank
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
