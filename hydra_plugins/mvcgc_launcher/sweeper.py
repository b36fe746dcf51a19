"""The sweeper behind ``-m``: the Cartesian product of what the command line lists."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.mvcgc_launcher import raise_failure


class ProductSweeper(Sweeper):
    """As Hydra's basic sweeper, but all jobs go to the launcher at once, and it writes and composes nothing.

    The basic sweeper leaves a ``multirun.yaml`` behind and composes each job only to see whether it can be;
    our launcher composes them all before it acts.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launch a job per combination of the listed values; returns the launcher's JobReturns, or raises."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        batches = BasicSweeper.split_arguments(parser.parse_overrides(arguments), max_batch_size=None)
        jobs: Sequence[Sequence[str]] = batches[0]
        results = self.launcher.launch(jobs, initial_job_idx=0)
        for result in results:
            raise_failure(result)
        return results
