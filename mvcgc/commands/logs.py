"""``mvcgc logs``: what a stage has printed, on all its ranks."""

import argparse
import time
from pathlib import Path

from mvcgc.commands.completers import stage_names
from mvcgc.commands.lookup import find_stage
from mvcgc.commands.root import root
from mvcgc.commands.verb import Verb, complete_by
from mvcgc.errors import UserError
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.state import State, stage_state

FOLLOW_EVERY_S = 0.5


def print_logs(folder: StageFolder, follow: bool) -> None:
    """Print what all ranks of the newest attempt have written; ``follow`` it until the stage runs no more.

    A job that waits for its start, or for another after it was put back, counts as running. Raises UserError
    if nothing has been written.
    """
    printer = _Printer()
    while True:
        running = stage_state(folder).state is State.RUNNING
        for path in _newest_logs(folder):
            printer.print_more_of(path)
        if not (follow and running):
            break
        time.sleep(FOLLOW_EVERY_S)
    if not printer.printed:
        raise UserError(f"{folder.path}: has written no log yet")


def _newest_logs(folder: StageFolder) -> list[Path]:
    """Of the newest attempt: the log of a job's batch script first, where there is one, then by rank."""
    ranks: dict[int, dict[int, Path]] = {}
    for path in folder.logs.glob("*.*.log"):
        attempt, rank = path.name.split(".")[:2]
        ranks.setdefault(int(attempt), {})[int(rank)] = path
    batch = {int(path.stem): path for path in (folder.path / "slurm").glob("*.log") if path.stem.isdecimal()}
    newest = max([*ranks, *batch], default=0)
    by_rank = ranks.get(newest, {})
    return [*([batch[newest]] if newest in batch else []), *(by_rank[rank] for rank in sorted(by_rank))]


class _Printer:
    """Prints what is new in files, with a file's name wherever another one spoke before."""

    def __init__(self) -> None:
        self.printed: dict[Path, int] = {}
        self._speaker: Path | None = None

    def print_more_of(self, path: Path) -> None:
        offset = self.printed.setdefault(path, 0)
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        if not data:
            return
        if path != self._speaker:
            print(f"==> {path} <==")
            self._speaker = path
        print(data.decode(errors="replace"), end="", flush=True)
        self.printed[path] = offset + len(data)


def _add(parser: argparse.ArgumentParser) -> None:
    text = "name, id (as in the plan) or fingerprint"
    complete_by(parser.add_argument("stage", metavar="STAGE", help=text), stage_names)
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing until the stage has ended")


def _run(parsed: argparse.Namespace) -> None:
    print_logs(find_stage(root(), parsed.stage), parsed.follow)


VERB = Verb("logs", "print a stage's output, on all its ranks", _run, _add)
