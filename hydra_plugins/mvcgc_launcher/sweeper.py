"""The sweeper behind ``-m``: the Cartesian product of the listed values."""

import itertools
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ProductSweeper(Sweeper):
    """Gives all jobs to the launcher at once; writes and composes nothing.

    Hydra's basic sweeper leaves a ``multirun.yaml`` behind and composes each job only to check it; our
    launcher composes all jobs before it acts.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Create the launcher. Hydra calls it."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launch a job per combination of the listed values; return or raise what the launcher does."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return self.launcher.launch(combinations(parser.parse_overrides(arguments)), initial_job_idx=0)


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of each job, in the order of the command line; the last key varies fastest.

    Raises:
        UserError: for an interval, which has no list of values.
    """
    from mvcgc.errors import UserError

    choices: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise UserError(f"{override.input_line}: list the values, as in {key}=0.1,0.2")
    return [list(job) for job in itertools.product(*choices.values())]
