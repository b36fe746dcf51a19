"""A run without ``-m``: one job for the launcher that ``hydra/launcher`` chooses."""

import sys
from typing import cast

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.mvcgc_launcher.launcher import StageLauncher

OURS = f"{StageLauncher.__module__}.{StageLauncher.__name__}"


def run_single(_: DictConfig) -> None:
    """Run Hydra's task; leave with an exit code, because Hydra adds a line of its own to exceptions."""
    from mvcgc.exit_codes import exit_code_of

    sys.exit(exit_code_of(launch_single))


def launch_single() -> None:
    """Launch the command's one job.

    Raises:
        UserError: if the launcher is not ours. Hydra's own would call the task once per job: row by row, and
            no table at the end.
        StagesFailed: if some stages did not finish.
    """
    from mvcgc.errors import UserError

    chosen = cast(DictConfig, HydraConfig.instance().cfg).hydra
    values = OmegaConf.to_container(chosen.launcher, resolve=True)
    overrides = OmegaConf.to_container(chosen.overrides.task)
    assert isinstance(values, dict)
    assert isinstance(overrides, list)
    if values.pop("_target_") != OURS:
        option = chosen.runtime.choices["hydra/launcher"]
        raise UserError(f"hydra/launcher={option}: choose one of local, plan, slurm")
    values.pop("_convert_", None)
    launcher = StageLauncher(**{str(key): value for key, value in values.items()})
    launcher.run(GlobalHydra.instance().config_loader(), [[str(text) for text in overrides]], single=True)
