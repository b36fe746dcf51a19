"""From a stage's folder to its DONE.json: what one rank does, whatever the kind of stage."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mvcgc import dist
from mvcgc.errors import UserError
from mvcgc.parts import load
from mvcgc.runs.folder import StageDamaged, StageFolder
from mvcgc.runs.journal import JournalWriter, Status, attempts
from mvcgc.stages import provenance, rank_failures
from mvcgc.stages.context import NoStageJournal, StageContext
from mvcgc.stages.kind import StageKind
from mvcgc.stages.spec import StageConfig, read_spec
from mvcgc.train import Interrupted, StopFlag

EXIT_DONE, EXIT_FAILED, EXIT_USER, EXIT_INTERRUPTED = 0, 1, 2, 3


def main(arguments: Sequence[str]) -> int:
    """Run one rank of the stage in the folder that ``arguments`` name; returns the exit status.

    0: finished, now or before. 3: interrupted by a signal, resumable. 2: a user's mistake. Other errors are
    written to the journal and raised.
    """
    if len(arguments) != 1:
        print("usage: python -m mvcgc.stages FOLDER", file=sys.stderr)
        return EXIT_USER
    folder = StageFolder(Path(arguments[0]).resolve())
    if _finished(folder):
        return EXIT_DONE
    rank = int(os.environ.get("RANK", "0"))
    attempt = int(os.environ.get("MVCGC_ATTEMPT") or max(attempts(folder.journal), default=0) + 1)
    if rank == 0:
        return _journalled(folder, attempt)
    try:
        with StopFlag() as stop:
            return _run(folder, attempt, stop, None)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        rank_failures.leave_note(folder, attempt, rank, str(error))
        return EXIT_USER
    except BaseException as error:
        rank_failures.leave_note(folder, attempt, rank, rank_failures.one_line(error))
        raise


def _journalled(folder: StageFolder, attempt: int) -> int:
    """Rank 0: whatever happens, the journal says how the attempt ended."""
    with JournalWriter(folder.journal, attempt) as journal, StopFlag() as stop:
        lookout = rank_failures.Lookout(folder, attempt, lambda reason: journal.end(Status.FAILED, reason))
        try:
            status = _run(folder, attempt, stop, journal)
            interrupted = status == EXIT_INTERRUPTED
            journal.end(
                Status.INTERRUPTED if interrupted else Status.DONE, stop.reason if interrupted else ""
            )
            return status
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            journal.end(Status.FAILED, str(error))
            return EXIT_USER
        except KeyboardInterrupt:
            journal.end(Status.INTERRUPTED, "KeyboardInterrupt")
            raise
        except BaseException as error:
            journal.end(Status.FAILED, rank_failures.cause(folder, attempt, error))
            raise
        finally:
            lookout.close()


def _run(folder: StageFolder, attempt: int, stop: StopFlag, journal: JournalWriter | None) -> int:
    config = StageConfig.read(folder)
    sys.path += config.runtime.import_from
    kind: type[StageKind] = load(config.program, StageKind, "program")  # type: ignore[type-abstract]
    if config.fingerprint != folder.fingerprint or config.code_version != kind.version:
        raise UserError(
            f"{folder.config} is not for this folder or this version of the code: plan the run again"
        )
    runtime = config.runtime
    place = dist.setup(runtime.device, runtime.cpus, runtime.deterministic)
    spec = read_spec(config, kind.Spec, folder)
    parents = {role: StageFolder(Path(path)) for role, path in config.parents.items()}
    for parent in parents.values():
        parent.verify_done()
    tags = provenance.record(folder, attempt, place.device)
    context = StageContext(folder, config, place, journal or NoStageJournal(), stop, parents)
    context.journal.tags(tags)
    status = EXIT_DONE
    try:
        result = kind.run(context, spec)
        if place.is_main:
            folder.write_done(result.outputs, result.metrics)
    except Interrupted as interrupted:  # all ranks have agreed on it
        print(f"{config.name}: {interrupted}", file=sys.stderr)
        status = EXIT_INTERRUPTED
    dist.barrier()
    dist.teardown()
    return status


def _finished(folder: StageFolder) -> bool:
    """Whether there is nothing to do. A DONE.json that does not hold true is said on stderr, and made
    again.
    """
    try:
        return folder.read_done() is not None
    except StageDamaged as damage:
        print(f"warning: {damage}; the stage is finished again", file=sys.stderr)
        return False
