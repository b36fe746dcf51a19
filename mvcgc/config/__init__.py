"""The configuration: its root dataclass, its composition, and how mistakes in it are told.

The only package that sees OmegaConf; what it gives away are plain dataclasses.
"""

from hydra.core.config_store import ConfigStore

from mvcgc.config.compose import (
    CONFIG_MODULE,
    CONFIG_NAME,
    HYDRA_DEFAULTS,
    Composer,
    compose,
    composer,
    user_errors,
)
from mvcgc.config.jobs import Jobs, TableRequest
from mvcgc.config.schema import Config, RowConfig, SweepConfig
from mvcgc.config.slots import schema

ConfigStore.instance().store(name="schema", node=schema())

__all__ = [
    "CONFIG_MODULE",
    "CONFIG_NAME",
    "HYDRA_DEFAULTS",
    "Composer",
    "Config",
    "Jobs",
    "RowConfig",
    "SweepConfig",
    "TableRequest",
    "compose",
    "composer",
    "user_errors",
]
