"""How a running stage is asked to stop: a signal raises a flag, and the loop looks at it between steps.

Schedulers send SIGTERM or SIGUSR2 to every process of a job, at any moment, also in the middle of a
collective. A handler must therefore do nothing but remember; the ranks agree on the flag at a step's end.
"""

import signal
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


class Interrupted(Exception):
    """The stage was asked to stop, and everything needed to go on is on the disk."""


class StopFlag:
    """Within ``with``, the stop signals raise the flag instead of ending the process. Main thread only."""

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def raised(self) -> bool:
        """Return whether this process has been asked to stop; other ranks may not have been yet."""
        return self._received is not None

    @property
    def reason(self) -> str:
        """The signal's name, or that another rank received it."""
        return self._received.name if self._received else "signal to another rank"

    def raise_flag(self, number: int, frame: FrameType | None = None) -> None:
        """Ask this process to stop, as the signal ``number`` does."""
        self._received = signal.Signals(number)

    def __enter__(self) -> "StopFlag":
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self.raise_flag)
        # Who starts this process may have held them back until now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
