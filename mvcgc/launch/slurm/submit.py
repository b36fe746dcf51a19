"""Submits stages to SLURM: one job per stage, whatever dies in between; the job then owns the lock."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from submitit.helpers import clean_env

from mvcgc.errors import UserError
from mvcgc.launch.slurm import queue
from mvcgc.launch.slurm.batch_script import BatchScript, batch_script, job_name
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.launch.slurm.liveness import job_of
from mvcgc.plan import Stage
from mvcgc.runs.folder import StageFolder
from mvcgc.stages import provenance

# sbatch mostly waits for the disk and the controller; more at once would be more than one user's share.
AT_ONCE = 8
# Parts of sbatch's messages that mean: try again later.
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


class SbatchError(Exception):
    """sbatch refused a job, or its answer names no job; the text is what it printed."""


@dataclass(frozen=True)
class Submission:
    """A stage to submit, to run after the jobs ``after``.

    Attributes:
        may_exist: the lock's previous owner died, perhaps after it submitted the job and before it handed
            the lock over: such a job is adopted.
    """

    stage: Stage
    after: Sequence[str]
    may_exist: bool


@dataclass
class Submitter:
    """Submits stages under their locks.

    Attributes:
        code: folder that jobs import their code from; None for where Python finds it.
        module: module that each rank runs.
    """

    root: Path
    settings: SlurmConfig
    code: Path | None
    module: str
    _provenance: dict[str, Any] = field(default_factory=provenance.submission)

    def submit(self, submissions: Sequence[Submission]) -> list[str | ComeBackLater]:
        """Submit stages in parallel; return their job ids, or why SLURM does not take them now.

        The caller holds the stages' locks. Each job then owns its stage's lock; a stage without a job is
        unlocked.

        Raises:
            UserError: if sbatch refuses one; the others are submitted all the same.
            QueueUnavailable: if SLURM does not answer.
        """
        environment = _environment()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda submission: self._submit(submission, environment), submissions))

    def _submit(self, submission: Submission, environment: Mapping[str, str]) -> str | ComeBackLater:
        folder = submission.stage.folder(self.root)
        try:
            existing = self._existing(submission.stage) if submission.may_exist else None
            job_id = existing or self._submit_new(submission, folder, environment)
            folder.lock.hand_over(job_of(job_id))
            return job_id
        except ComeBackLater as later:
            return later
        finally:
            folder.release()  # does nothing if the job owns the lock by now

    def _existing(self, stage: Stage) -> str | None:
        found = queue.jobs_named(job_name(stage.name, stage.fingerprint, self.root))
        return found[0].id if found else None

    def _submit_new(self, submission: Submission, folder: StageFolder, environment: Mapping[str, str]) -> str:
        stage = submission.stage
        folder.done.unlink(missing_ok=True)  # it is damaged, or the stage would not be submitted
        stage.config(self.root).write(folder)
        provenance.record_submission(folder, self._provenance)
        script = batch_script(
            stage, self.settings, self.root, submission.after, code=self.code, module=self.module
        )
        try:
            return sbatch(script, environment)
        except SbatchError as error:
            said = str(error)
            if any(text in said for text in _LATER):
                raise ComeBackLater(said) from error
            raise UserError(f"sbatch refuses {stage.name}: {said}") from error


def sbatch(script: BatchScript, environment: Mapping[str, str]) -> str:
    """Submit a job and keep its script as ``<job id>_submission.sh`` in its folder; return the job's id.

    Waits as long as sbatch does: a job whose sbatch was killed may be in the queue all the same.

    Raises:
        SbatchError: if there is no sbatch, or it refuses the job.
    """
    script.folder.mkdir(parents=True, exist_ok=True)
    command = ("sbatch", "--parsable")
    try:
        done = subprocess.run(
            command, input=script.text, env=dict(environment), capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise SbatchError("sbatch is not installed here") from error
    job = re.search(r"^(\d+)(;.*)?$", done.stdout, re.MULTILINE)  # "ID" or "ID;CLUSTER", after any banner
    if done.returncode != 0 or job is None:
        errors = [line for line in done.stderr.splitlines() if "sbatch: error" in line]
        said = " ".join(" ".join(errors or [done.stderr, done.stdout]).split())
        raise SbatchError(said or f"exit code {done.returncode}")
    (script.folder / f"{job[1]}_submission.sh").write_text(script.text)
    return job[1]


def _environment() -> dict[str, str]:
    """Return sbatch's environment.

    A job submitted from within another job would inherit its size: that job's variables are left out.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return dict(os.environ)
    kept = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with clean_env():
        return {**os.environ, **kept}
