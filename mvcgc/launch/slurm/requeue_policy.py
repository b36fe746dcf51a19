"""Decides if a job is requeued whose ranks ended without a result. Pure: reads no file, asks no cluster."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from mvcgc.runs.journal import Status
from mvcgc.stages.rank_failures import is_elsewhere

_TASK = re.compile(r"^srun: error: (?P<node>\S+): tasks? [\d,\-]+: (?P<what>.+)$", re.MULTILINE)
_NODE = re.compile(r"error: Node failure on (?P<node>\S+)|\* STEP \S+ ON (?P<step>\S+) .*NODE FAILURE")
_LAUNCH = re.compile(
    r"Unable to create step|task launch (?:.* )?failed|Communication connection failure|Socket timed out"
)


class Next(Enum):
    """GIVE_UP: the job ends as failed. REQUEUE: the same job starts again later."""

    GIVE_UP = "give up"
    REQUEUE = "requeue"


@dataclass(frozen=True)
class Event:
    """srun's message about a rank or a node that failed."""

    node: str
    what: str

    @property
    def by_signal(self) -> bool:
        """True if something other than a request to stop killed the rank."""
        return not self.what.startswith(("Exited with exit code", "Terminated", "User defined signal 2"))

    @property
    def aborted(self) -> bool:
        """Whether the rank ended itself, as NCCL's watchdog has it do."""
        return self.what.startswith("Aborted")


@dataclass(frozen=True)
class Ending:
    """Everything known about an attempt's end.

    ``said`` is how rank 0 ended its journal, ``notes`` what other ranks left, the
    first first, ``events`` srun's words in
    their order. Checkpoints are in steps, -1 for none; ``checkpoint_before`` is that of the previous restart.
    """

    status: int
    said: Status
    said_reason: str
    notes: Sequence[str]
    events: Sequence[Event]
    checkpoint: int
    checkpoint_before: int
    last_line: str

    @property
    def said_failed(self) -> bool:
        """True if the journal has the failure already."""
        return self.said is Status.FAILED

    @property
    def interrupted(self) -> bool:
        """True if the ranks stopped because they were asked to."""
        return self.said is Status.INTERRUPTED


@dataclass(frozen=True)
class Decision:
    """The next action and its reason; the job must not start again on the node ``exclude``."""

    next: Next
    reason: str
    counts_as_failure: bool = False
    exclude: str = ""


def decide(
    ending: Ending, failures: int, timeouts: int, max_retries: int, max_timeouts: int | None
) -> Decision:
    """Decide about a job that ``failures`` and ``timeouts`` have requeued so often before."""
    own = _own_error(ending)
    if own:
        return Decision(Next.GIVE_UP, own)
    if ending.interrupted and ending.checkpoint > ending.checkpoint_before:
        if max_timeouts is not None and timeouts >= max_timeouts:
            return Decision(Next.GIVE_UP, f"stopped {timeouts + 1} times (hydra.launcher.max_num_timeout)")
        return Decision(Next.REQUEUE, f"stopped at step {ending.checkpoint}, resumes from there")
    # NCCL's watchdog aborts healthy ranks whose peer is gone: they are blamed if there is no one else.
    signalled = sorted((event for event in ending.events if event.by_signal), key=lambda event: event.aborted)
    blamed = next(iter(signalled), None)
    what = f"{blamed.node}: {blamed.what}" if blamed else _without_word(ending)
    if failures >= max_retries:
        return Decision(Next.GIVE_UP, f"{what}; given up after {failures} retries")
    return Decision(
        Next.REQUEUE, f"{what}; retry {failures + 1} of {max_retries}", True, blamed.node if blamed else ""
    )


def _own_error(ending: Ending) -> str:
    """Return the stage's own error, which a retry would meet again; '' if there is none."""
    said = [*ending.notes, *([ending.said_reason] if ending.said_failed else [])]
    own = [reason for reason in said if not is_elsewhere(reason)]
    if own:
        return own[0]
    quiet = not said and not ending.interrupted and not any(event.by_signal for event in ending.events)
    # Neither a word nor a signal: it failed before it could say a word, as with broken installations.
    if quiet and 0 < ending.status < 128:
        return f"exit status {ending.status}" + (f": {ending.last_line}" if ending.last_line else "")
    return ""


def _without_word(ending: Ending) -> str:
    called_off = any(
        event.what.startswith(("Terminated", "User defined signal 2")) for event in ending.events
    )
    if ending.interrupted or (called_off and not ending.said_failed):
        return "stopped before it made progress"
    return ending.said_reason or ending.last_line or f"exit status {ending.status}"


def srun_events(text: str) -> list[Event]:
    """Return srun's messages in a batch script's output, in their order."""
    found = [(match.start(), Event(match["node"], match["what"].strip())) for match in _TASK.finditer(text)]
    found += [
        (match.start(), Event(match["node"] or match["step"], "node failure"))
        for match in _NODE.finditer(text)
    ]
    found += [(match.start(), Event("", match[0])) for match in _LAUNCH.finditer(text)]
    return [event for _, event in sorted(found, key=lambda item: item[0])]
