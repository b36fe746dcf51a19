"""How rank 0 learns why another rank failed.

When a rank fails, the others wait for it in a collective: with gloo they soon fail too, of a broken
connection, with NCCL they hang until the launcher kills them. So a failing rank leaves a note on the shared
filesystem, and rank 0, which keeps the journal, looks out for one.
"""

import os
import threading
import time
from collections.abc import Callable

import torch.distributed as td

from mvcgc.files import write_atomic
from mvcgc.runs.folder import StageFolder

POLL_SECONDS = 2.0
# How long a rank that hears of another's failure may take to fail by itself.
GRACE_SECONDS = 15.0
# How long a note may take to appear after the connection broke.
NOTE_SECONDS = 5.0


def leave_note(folder: StageFolder, attempt: int, rank: int, reason: str) -> None:
    """Say that this rank failed, and why, in one line."""
    write_atomic(folder.logs / f"{attempt}.{rank}.failed", f"rank {rank}: {reason}\n")


def note(folder: StageFolder, attempt: int) -> str:
    """What the first rank that failed says; "" if none has."""
    notes = sorted(folder.logs.glob(f"{attempt}.*.failed"), key=lambda path: path.stat().st_mtime_ns)
    return notes[0].read_text().strip() if notes else ""


def cause(folder: StageFolder, attempt: int, error: BaseException) -> str:
    """Why the attempt failed, seen from rank 0 where ``error`` arose: another rank's reason if it came of
    that.
    """
    own = one_line(error)
    if not (td.is_initialized() and td.get_world_size() > 1 and _is_connection(error)):
        return own
    deadline = time.monotonic() + NOTE_SECONDS
    while time.monotonic() < deadline:
        found = note(folder, attempt)
        if found:
            return found
        time.sleep(0.1)
    return own


def one_line(error: BaseException) -> str:
    """An error as the journal has it."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_connection(error: BaseException) -> bool:
    return isinstance(error, td.DistError | ConnectionError) or "gloo" in str(error).lower()


class Lookout:
    """On rank 0: calls ``give_up(reason)`` and ends the process if another rank failed and this one hangs."""

    def __init__(self, folder: StageFolder, attempt: int, give_up: Callable[[str], None]) -> None:
        self._folder, self._attempt, self._give_up = folder, attempt, give_up
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="lookout", daemon=True).start()

    def close(self) -> None:
        """This rank has come to its own end."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            reason = note(self._folder, self._attempt)
            if reason:
                if not self._over.wait(GRACE_SECONDS):
                    self._give_up(reason)
                    os._exit(1)
                return
