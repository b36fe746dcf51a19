"""How the first rank that failed is told from those that failed because of it.

When a rank fails, the others wait for it in a collective: with gloo they soon fail too, of a broken
connection, with NCCL they hang until the launcher kills them or NCCL's watchdog aborts them. So a failing
rank leaves a note on the shared filesystem, and rank 0, which keeps the journal, looks out for one. Nothing
here imports torch before it is needed: launchers read the notes, too.
"""

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mvcgc.files import write_atomic
from mvcgc.runs.folder import StageFolder

POLL_SECONDS = 2.0
# How long a rank that hears of another's failure may take to fail by itself.
GRACE_SECONDS = 15.0
# How long a note may take to appear after the connection broke.
NOTE_SECONDS = 5.0

_ELSEWHERE = re.compile(
    r"gloo|nccl|DistBackendError|DistNetworkError|DistStoreError|Connection (reset|refused|closed|aborted)"
    r"|ConnectionError|ConnectionResetError|Broken ?pipe|Socket Timeout"
    r"|a process that decodes videos ended (by SIG|unexpectedly)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Note:
    """A failed rank, and its reason in one line."""

    rank: int
    reason: str

    def __str__(self) -> str:
        return f"rank {self.rank}: {self.reason}"


def is_elsewhere(reason: str) -> bool:
    """Return whether a rank failed because a peer, or a process that reads videos for it, was taken away."""
    return bool(_ELSEWHERE.search(reason))


def leave_note(folder: StageFolder, attempt: int, rank: int, reason: str) -> None:
    """Say that this rank failed, and why, in one line."""
    write_atomic(folder.logs / f"{attempt}.{rank}.failed", f"{Note(rank, reason)}\n")


def notes(folder: StageFolder, attempt: int) -> list[Note]:
    """What failed ranks say, the first that failed first; by the filesystem's clock, which is one for all."""
    paths = sorted(folder.logs.glob(f"{attempt}.*.failed"), key=lambda path: path.stat().st_mtime_ns)
    return [Note(int(path.name.split(".")[1]), path.read_text().strip().partition(": ")[2]) for path in paths]


def first_cause(folder: StageFolder, attempt: int) -> Note | None:
    """The first note of a rank that failed by itself; None if there is none."""
    return next((note for note in notes(folder, attempt) if not is_elsewhere(note.reason)), None)


def note(folder: StageFolder, attempt: int) -> str:
    """The `first_cause`, else what the first rank that failed says; "" if none has."""
    found = first_cause(folder, attempt) or next(iter(notes(folder, attempt)), None)
    return str(found) if found else ""


def cause(folder: StageFolder, attempt: int, error: BaseException) -> str:
    """Why the attempt failed, seen from rank 0 where ``error`` arose: another rank's reason if it came of
    that.
    """
    import torch.distributed as td

    own = one_line(error)
    if not (td.is_initialized() and td.get_world_size() > 1):
        return own
    lost = isinstance(error, td.DistError | ConnectionError) or is_elsewhere(own)
    deadline = time.monotonic() + (NOTE_SECONDS if lost else 0.0)
    while True:
        first = first_cause(folder, attempt)
        if first is not None and first.reason != own:
            return str(first)
        if time.monotonic() >= deadline:
            return own if first is not None or not lost else note(folder, attempt) or own
        time.sleep(0.1)


def one_line(error: BaseException) -> str:
    """An error as the journal has it."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


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
