"""The launcher of all our jobs, with ``-m`` and without: `mvcgc.sweep` acts, this tells how it ended."""

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig

from mvcgc.launch.slurm.config import SlurmConfig

ConfigStore.instance().store(group="hydra/launcher", name="slurm_keys", node=SlurmConfig)


class StageLauncher(Launcher):
    """All jobs of one command become one graph of stages.

    ``action`` is what happens to it: ``local`` runs it on this machine, ``slurm`` as jobs of a cluster;
    ``plan`` prints it, or, for the stage that ``why`` names, the fields that keep it from being cached. What
    else is given are the values of a `SlurmConfig`.
    """

    def __init__(self, action: str, why: str | None = None, **settings: Any) -> None:
        self.action = action
        self.why = why
        self.settings = settings
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        self.hydra_context = hydra_context
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Act on all jobs at once.

        They share stages, so they end together: all COMPLETED, or, with `StagesFailed` for each, all FAILED.
        Raises UserError where nothing could be started.
        """
        from mvcgc.config import Composer, Jobs
        from mvcgc.errors import UserError
        from mvcgc.sweep import Action, StagesFailed, carry_out

        assert self.hydra_context is not None
        assert self.config is not None
        if self.settings and Action(self.action) is Action.local:
            key = next(iter(self.settings))
            raise UserError(f"hydra.launcher.{key}={self.settings[key]}: goes with hydra/launcher=slurm")
        single = self.config.hydra.mode is RunMode.RUN
        jobs = Jobs(Composer(self.hydra_context.config_loader), job_overrides, single)
        tables = jobs.tables()
        status, outcome = JobStatus.COMPLETED, None
        try:
            carry_out(tables, jobs.config, Action(self.action), SlurmConfig(**self.settings), self.why)
        except StagesFailed as failure:
            status, outcome = JobStatus.FAILED, failure
        return [JobReturn(overrides=job, status=status, _return_value=outcome) for job in job_overrides]
