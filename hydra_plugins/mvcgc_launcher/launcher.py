"""The launcher of all our jobs, with ``-m`` and without: `mvcgc.sweep` does the work."""

from collections.abc import Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mvcgc.launch.slurm.config import SlurmConfig

ConfigStore.instance().store(group="hydra/launcher", name="slurm_keys", node=SlurmConfig)


class StageLauncher(Launcher):
    """Makes one graph of stages of all jobs of a command, and acts on it.

    ``action``: ``local`` runs the graph on this machine, ``slurm`` as jobs of a cluster; ``plan`` prints it,
    or, for the stage that ``why`` names, the fields that keep it from being cached. ``settings`` are the
    values of a `SlurmConfig`.
    """

    def __init__(self, action: str, why: str | None = None, **settings: Any) -> None:
        self.action = action
        self.why = why
        self.settings = settings
        self.loader: ConfigLoader | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what `launch` needs. Hydra calls it."""
        self.loader = hydra_context.config_loader

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Act on all jobs of a multirun at once; they share stages, so they succeed or fail together.

        Raises:
            UserError: if nothing could be started.
            StagesFailed: if some stages did not finish.
        """
        assert self.loader is not None
        self.run(self.loader, job_overrides, single=False)
        return [JobReturn(overrides=job, status=JobStatus.COMPLETED) for job in job_overrides]

    def run(self, loader: ConfigLoader, job_overrides: Sequence[Sequence[str]], single: bool) -> None:
        """Act on jobs, given by their overrides; ``single`` without ``-m``. Raises as `launch` does."""
        from mvcgc.config import Composer, Jobs
        from mvcgc.errors import UserError
        from mvcgc.sweep import Action, carry_out

        action = Action(self.action)
        if self.settings and action is Action.local:
            key = next(iter(self.settings))
            raise UserError(f"hydra.launcher.{key}={self.settings[key]}: goes with hydra/launcher=slurm")
        jobs = Jobs(Composer(loader), job_overrides, single)
        carry_out(jobs.tables(), jobs.config, action, SlurmConfig(**self.settings), self.why)
