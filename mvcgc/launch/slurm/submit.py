"""Hands a stage to SLURM: one job per stage, whatever dies in between, and the lock with it."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError, environment_variables
from submitit.helpers import clean_env

from mvcgc.errors import UserError
from mvcgc.identity import StageFolder
from mvcgc.launch.slurm import queue
from mvcgc.launch.slurm.batch_script import BatchScript, batch_script, job_name
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.launch.slurm.liveness import job_of
from mvcgc.plan import Stage
from mvcgc.stages import provenance

# sbatch mostly waits, for the disk and for the controller; more at once would be more than its share.
AT_ONCE = 8
# What sbatch says when it would take the job later.
_LATER = (
    "MaxSubmitJob",
    "QOSMaxSubmitJob",
    "job submit limit",
    "temporarily unable to accept",
    "Unable to contact slurm controller",
    "Socket timed out",
    "Resource temporarily unavailable",
)


class ComeBackLater(Exception):
    """SLURM takes no more jobs at present."""


@dataclass(frozen=True)
class Submission:
    """A stage whose job is wanted, to run after the jobs ``after``.

    ``may_exist`` where who held the lock before died, perhaps with the job submitted and the lock not yet
    handed over: that job is taken then.
    """

    stage: Stage
    after: Sequence[str]
    may_exist: bool


class _Executor(submitit.SlurmExecutor):
    """Submitit's way to sbatch, for a batch script that is there already."""

    def __init__(self, wanted: BatchScript) -> None:
        super().__init__(wanted.folder)
        self._wanted = wanted

    def submit_script(self) -> str:
        """The job's id. Raises what submitit raises if sbatch refuses."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return str(self._submit_command("").job_id)

    def _make_submission_file_text(self, command: str, uid: str) -> str:  # noqa: ARG002 - submitit's form
        return self._wanted.text


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Within another job, forget what it is, or the new one would take its size; keep the cluster."""
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    kept = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with clean_env(), environment_variables(**kept):
        yield


@dataclass
class Submitter:
    """Submits stages under their locks.

    ``code`` is where jobs import their code from, None for here; ``module`` is what their ranks run.
    """

    root: Path
    settings: SlurmConfig
    code: Path | None
    module: str
    _provenance: dict[str, Any] = field(default_factory=provenance.submission)

    def submit(self, orders: Sequence[Submission]) -> list[str | ComeBackLater]:
        """Bring about the stages' jobs side by side: their ids, or why SLURM does not take them now.

        The caller holds the stages' locks; the jobs have them then. What got no job is unlocked.

        Raises UserError if sbatch refuses one, QueueUnavailable; the others' jobs are submitted even so.
        """
        with _outside_of_jobs(), ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._submit, orders))

    def _submit(self, order: Submission) -> str | ComeBackLater:
        folder = order.stage.folder(self.root)
        try:
            existing = self._existing(order.stage) if order.may_exist else None
            job_id = existing or self._submit_new(order.stage, folder, order.after)
            folder.lock.hand_over(job_of(job_id))
            return job_id
        except ComeBackLater as later:
            return later
        finally:
            folder.release()  # nothing, where the job has it now

    def _existing(self, stage: Stage) -> str | None:
        found = queue.jobs_named(job_name(stage.name, stage.fingerprint, self.root))
        return found[0].id if found else None

    def _submit_new(self, stage: Stage, folder: StageFolder, after: Sequence[str]) -> str:
        folder.done.unlink(missing_ok=True)  # it is damaged, or the stage would not be submitted
        stage.config(self.root).write(folder)
        provenance.record_submission(folder, self._provenance)
        try:
            wanted = batch_script(stage, self.settings, self.root, after, code=self.code, module=self.module)
            return _Executor(wanted).submit_script()
        except (FailedJobError, FailedSubmissionError) as error:
            said = " ".join(line for line in str(error).splitlines() if "sbatch: error" in line) or str(error)
            if any(text in said for text in _LATER):
                raise ComeBackLater(" ".join(said.split())) from error
            raise UserError(f"sbatch refuses {stage.name}: {' '.join(said.split())}") from error
