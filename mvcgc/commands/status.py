"""``mvcgc status``: rows x stages of a sweep, and where each stage runs, why it waits or has failed.

SLURM, if it can be asked, adds the nodes of running jobs and the reasons of waiting ones.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.commands.completers import sweep_names
from mvcgc.commands.lookup import find_sweep
from mvcgc.commands.root import root
from mvcgc.commands.verb import Verb, complete_by
from mvcgc.launch.slurm import queue
from mvcgc.launch.slurm.queue import Job, JobState
from mvcgc.runs.journal import Status
from mvcgc.runs.lock import Owner
from mvcgc.runs.progress_text import describe, duration
from mvcgc.runs.record import SweepRecord
from mvcgc.runs.state import StageState, State, stage_state

# Each look reads the journals of what runs and asks SLURM's controller, which all its users share.
WATCH_EVERY_S = 5.0
# A watched sweep of which nothing ran for so long is over: between two of its stages nothing runs either.
QUIET_S = 15.0
CLEAR = "\033[H\033[2J"


def status(root: Path, record: SweepRecord) -> str:
    """The state of all stages of a sweep, as text."""
    return _Look(root, record).take()


def watch(root: Path, record: SweepRecord) -> None:
    """Show `status` anew, on a terminal in place, until the sweep is finished or nothing of it runs."""
    look, shown, ran_at = _Look(root, record), "", time.monotonic()
    while True:
        text = look.take()
        if sys.stdout.isatty():
            sys.stdout.write(CLEAR + text)
        elif text != shown:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()
        shown = text
        if look.something_runs:
            ran_at = time.monotonic()
        if look.finished or time.monotonic() - ran_at > QUIET_S:
            return
        time.sleep(WATCH_EVERY_S)


@dataclass
class _Look:
    """States by the id of a stage, owners of locks, and jobs as far as SLURM can be asked."""

    root: Path
    record: SweepRecord
    states: dict[str, StageState] = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    trouble: str = ""

    @property
    def finished(self) -> bool:
        """Whether all stages are."""
        return all(state.state is State.FINISHED for state in self.states.values())

    @property
    def something_runs(self) -> bool:
        """Whether a stage runs, or a job waits to do so."""
        return any(state.state is State.RUNNING for state in self.states.values())

    def take(self) -> str:
        """Look at everything that was not finished the last time; returns it as text."""
        for key, stage in self.record.stages.items():
            known = self.states.get(key)
            if known is not None and known.state is State.FINISHED:
                continue
            folder = stage.folder(self.root)
            self.states[key] = stage_state(folder)
            owner = folder.owner
            if owner is None:
                self.owners.pop(key, None)
            else:
                self.owners[key] = owner
        self._ask()
        return self._text()

    def _ask(self) -> None:
        owned = {
            key: owner.job.partition(":")
            for key, owner in self.owners.items()
            if owner.job and self.states[key].state is not State.FINISHED
        }
        self.jobs, self.trouble = {}, ""
        if not owned:
            return
        try:
            here = queue.cluster_name()
            ids = {key: job_id for key, (cluster, _, job_id) in owned.items() if cluster == here}
            found = queue.jobs(list(ids.values()))
        except queue.QueueUnavailable as error:
            self.trouble = f"SLURM cannot be asked from here, this is what the folders say: {error}"
        else:
            self.jobs = {key: found[job_id] for key, job_id in ids.items() if job_id in found}

    def _text(self) -> str:
        record = self.record
        names = list(dict.fromkeys(name for row in record.rows for name in row.stages))
        lines = [["row", "seed", *names]]
        for row in record.rows:
            cells = [self._cell(row.stages[name]) if name in row.stages else "" for name in names]
            lines.append([row.name, str(row.seed), *cells])
        finished = sum(state.state is State.FINISHED for state in self.states.values())
        notes = [note for key in record.stages if (note := self._note(key))]
        head = f"{record.id}: {record.title}, {finished} of {len(self.states)} stages finished"
        trouble = [self.trouble] if self.trouble else []
        return "\n".join([head, *trouble, "", *_aligned(lines), *([""] if notes else []), *notes]) + "\n"

    def _cell(self, key: str) -> str:
        state = self.states[key]
        progress = state.progress
        share = f" {100 * progress.step // progress.total_steps} %" if progress.total_steps else ""
        match state.state:
            case State.FINISHED:
                return "done"
            case State.MISSING:
                return "-"
            case State.RUNNING:
                return f"{'waits' if self._waits(key) else 'running'}{share}"
            case State.INTERRUPTED:
                return f"stopped{share}"
            case State.FAILED | State.DAMAGED:
                return str(state.state.value).upper()

    def _waits(self, key: str) -> bool:
        """Whether a stage that somebody has is a job that has not started, or not again, yet."""
        if key in self.jobs:
            return self.jobs[key].state in (JobState.PENDING, JobState.REQUEUED)
        owner, started = self.owners.get(key), self.states[key].progress.status is Status.RUNNING
        return owner is not None and owner.job != "" and not started

    def _note(self, key: str) -> str | None:
        state = self.states[key]
        match state.state:
            case State.RUNNING if self._waits(key):
                return f"{key}: {self._why_it_waits(key)}"
            case State.RUNNING:
                said = describe(state.progress) if state.progress.total_steps else "starts"
                return f"{key}: {said} ({self._where(key)})"
            case State.FAILED | State.DAMAGED:
                log = self.record.stages[key].folder(self.root).log(state.progress.attempt, 0)
                return f"{key}: {state.state.value}, {state.detail} (log: {log})"
            case State.INTERRUPTED:
                return f"{key}: stopped {state.detail}{self._how_it_ended(key)}"
            case State.MISSING if self._how_it_ended(key):
                return f"{key}: did not start{self._how_it_ended(key)}"
        return None

    def _why_it_waits(self, key: str) -> str:
        job, onward = self.jobs.get(key), ""
        if self.states[key].checkpoint is not None:
            onward = f", goes on from step {self.states[key].checkpoint}"
        if job is None:
            return f"waits ({self.states[key].detail}){onward}"
        if job.reason == "Dependency":
            parents = dict.fromkeys(self.record.stages[key].parents.values())
            awaited = [parent for parent in parents if self.states[parent].state is not State.FINISHED]
            return f"job {job.id} waits for {' and '.join(awaited) or 'another job'}{onward}"
        return f"job {job.id} waits{f': {job.reason}' if job.reason else ''}{onward}"

    def _where(self, key: str) -> str:
        job = self.jobs.get(key)
        if job is None:
            return self.states[key].detail
        restarts = f", restart {job.restarts}" if job.restarts else ""
        left = f", {duration(float(job.time_left_s))} of its time left" if job.time_left_s is not None else ""
        return f"job {job.id} on {job.nodes}{restarts}{left}"

    def _how_it_ended(self, key: str) -> str:
        """What SLURM says of the job that a stage without a result had last; '' if it says nothing."""
        job = self.jobs.get(key)
        if job is None or job.state.alive:
            return ""
        return f"; job {job.id} ended as {job.raw}{f' ({job.reason})' if job.reason else ''}"


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _add(parser: argparse.ArgumentParser) -> None:
    text = "name or id (default: the newest)"
    complete_by(parser.add_argument("sweep", nargs="?", metavar="SWEEP", help=text), sweep_names)
    parser.add_argument("--watch", action="store_true", help="refresh until nothing of it runs, or Ctrl-C")


def _run(parsed: argparse.Namespace) -> None:
    record = find_sweep(root(), parsed.sweep)
    if parsed.watch:
        watch(root(), record)
    else:
        sys.stdout.write(status(root(), record))


VERB = Verb("status", "show the state of each stage of a sweep", _run, _add)
