"""Collecting once, or again and again while stages run."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from mvcgc.collect.config import CollectError, TrackingConfig
from mvcgc.collect.environment import prepare_environment

if TYPE_CHECKING:  # importing it imports MLflow
    from mvcgc.collect.deliver import Collector
    from mvcgc.collect.transfer import Collected

LONGEST_PAUSE_S = 300.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def collect(
    root: Path, tracking: TrackingConfig, *, results: Path | None = None, rebuild: bool = False
) -> "Collected":
    """Bring MLflow up to date with everything under ``root``, once.

    ``results`` is the folder of the written tables, which are attached to the runs of their sweeps.
    ``rebuild`` first deletes all runs that this root has made in the store. Raises CollectError with one line
    if MLflow cannot be reached or written to, or if another process collects; what was not sent is sent next
    time.
    """
    return collector(root, tracking, results).once(rebuild)


def collector(root: Path, tracking: TrackingConfig, results: Path | None) -> "Collector":
    """A collector; this is the first moment at which MLflow is imported."""
    prepare_environment(tracking.timeout_s)
    from mvcgc.collect.deliver import Collector

    return Collector(root, tracking, results)


def watch(
    root: Path, tracking: TrackingConfig, *, results: Path | None = None, every_s: float = 15.0
) -> None:
    """Collect every so many seconds until Ctrl-C or SIGTERM, after a last pass.

    An outage is told once, and so is its end; the pauses between the attempts grow to five minutes.
    """
    with stopping() as stop:
        follow(collector(root, tracking, results), stop, every_s)


def follow(
    source: "Collector", stop: threading.Event, every_s: float, say: Callable[[str], None] | None = None
) -> None:
    """Passes until ``stop`` is set, and one more. ``say`` takes lines for people; by default stderr does."""
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    pause, told = every_s, set[str]()
    while True:
        last = stop.is_set()
        try:
            done = source.once()
        except CollectError as error:
            if pause == every_s:
                say(f"warning: {error}; nothing is lost, trying again")
            pause = min(2 * pause, LONGEST_PAUSE_S)
        else:
            if pause > every_s:
                say(f"collecting again: {done.points} points sent")
            pause = every_s
            for warning in set(done.warnings) - told:
                say(f"warning: {warning}")
                told.add(warning)
        if last:
            return
        stop.wait(pause)


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set; the second time they interrupt at once."""
    stop = threading.Event()

    def set_it(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, set_it) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
