"""A run without ``-m`` is one job for the launcher that ``hydra/launcher`` chooses."""

import sys
from typing import cast

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.mvcgc_launcher import raise_failure

OURS = "hydra_plugins.mvcgc_launcher."


def run_single(_: DictConfig) -> None:
    """Hydra's task function: leaves with an exit code, as Hydra adds a line of its own to exceptions."""
    from mvcgc.exit_codes import exit_code_of

    sys.exit(exit_code_of(launch_single))


def launch_single() -> None:
    """Raises UserError if the launcher is none of ours, and what the launcher raises.

    Hydra's other launchers call the task function once per job: row by row, and no table at the end.
    """
    from mvcgc.errors import UserError

    config = cast(DictConfig, HydraConfig.instance().cfg)
    if not str(config.hydra.launcher._target_).startswith(OURS):
        chosen = config.hydra.runtime.choices["hydra/launcher"]
        raise UserError(f"hydra/launcher={chosen}: choose one of local, plan, slurm")
    loader = GlobalHydra.instance().config_loader()
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks()),
        task_function=run_single,
        config=config,
    )
    overrides = OmegaConf.to_container(config.hydra.overrides.task)
    assert isinstance(overrides, list)
    for result in launcher.launch([[str(override) for override in overrides]], initial_job_idx=0):
        raise_failure(result)
