"""Slots: top-level keys whose class a configuration chooses by ``_target_``, and with it their keys.

Hydra composes such a key without knowing the class. Here it becomes a structured node of the class's
settings, so that values are checked and misspelt keys suggested as those of fixed keys are.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mvcgc.config.explain import rejected_value
from mvcgc.config.schema import Config
from mvcgc.errors import UserError
from mvcgc.method.base import Method
from mvcgc.parts import TARGET, Part, PartConfig, load, one_line
from mvcgc.plan import DEFAULT
from mvcgc.stages.evaluate.metric import Metric
from mvcgc.stages.experiment import DownstreamConfig, DownstreamKeys
from mvcgc.stages.kind import StageKind
from mvcgc.stages.pretrain.kind import Cross, Init
from mvcgc.stages.spec import Runtime

SLOTS: dict[str, type[Part]] = {"method": Method}
"""By top-level key: what its class must derive from."""

TASKS = "downstream"
"""The key below which each key that is not one of `DownstreamKeys` is a task, a kind of stages."""

METRICS = "downstream.metrics"
"""The key below which each key is a metric of the user's own."""

OPEN = (*SLOTS, TASKS, "resources")
"""Top-level keys that take any key while Hydra composes; what they may have is checked afterwards."""


def schema() -> DictConfig:
    """Return the root schema that Hydra composes into."""
    node = OmegaConf.structured(Config)
    assert isinstance(node, DictConfig)
    for key in OPEN:
        OmegaConf.set_struct(node[key], False)
    return node


def settle(config: DictConfig) -> dict[str, type]:
    """Turn every slot of a composed configuration into the structured settings of its class.

    Returns:
        By dotted key: the class of the settings below it, for keys that `Config` does not declare.

    Raises:
        UserError: if a class cannot be had, or a file sets a key that its class does not have.
    """
    classes: dict[str, type] = {slot: _settle(config, slot, slot, base) for slot, base in SLOTS.items()}
    known = {field.name for field in fields(DownstreamKeys)}
    tasks = {str(key): StageKind for key in config[TASKS] if key not in known}
    for parent, parts in ((TASKS, tasks), (METRICS, dict.fromkeys(map(str, config[TASKS].metrics), Metric))):
        for name, base in parts.items():
            node = OmegaConf.select(config, parent)
            classes[f"{parent}.{name}"] = _settle(node, name, f"{parent}.{name}", base)
    _give_resources(config, [Init.label, Cross.label, *tasks])
    for key in OPEN:
        OmegaConf.set_struct(config[key], True)
    return {**classes, **{f"resources.{kind}": Runtime for kind in config.resources}}


def _give_resources(config: DictConfig, kinds: Sequence[str]) -> None:
    """Give kinds that ``resources`` does not name those of ``default``, each key to be set alone."""
    if DEFAULT in config.resources:
        for kind in kinds:
            if kind not in config.resources:
                node = OmegaConf.structured(Runtime)
                for field in fields(Runtime):
                    node[field.name] = f"${{resources.{DEFAULT}.{field.name}}}"
                config.resources[kind] = node


def downstream(values: dict[str, Any]) -> DownstreamConfig:
    """Return the settings below ``downstream``, given each key's."""
    known = {field.name for field in fields(DownstreamKeys)}
    keys = {name: value for name, value in values.items() if name in known}
    return DownstreamConfig(**keys, kinds={n: value for n, value in values.items() if n not in known})


def _settle(parent: DictConfig, name: str, key: str, base: type[Part]) -> type[PartConfig]:
    node = parent[name]
    if not isinstance(node, DictConfig) or TARGET not in node:
        given = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
        raise UserError(
            f"{key}={given}: names no class; write {TARGET}: mylab.parts.{base.__name__} into its file"
        )
    kind = load(node[TARGET], base, key).Config
    parent[name] = _structured(key, node, kind)
    return kind


def _structured(slot: str, node: DictConfig, kind: type[PartConfig]) -> DictConfig:
    try:
        typed = OmegaConf.structured(kind)
    except OmegaConfBaseException as error:
        raise UserError(f"{slot}: {kind.__module__}.{kind.__qualname__}: {one_line(error)}") from error
    assert isinstance(typed, DictConfig)
    for key, value in node.items_ex(resolve=False):
        name = str(key)
        if name == TARGET:
            continue
        try:
            OmegaConf.update(typed, name, value, merge=True)
        except OmegaConfBaseException as error:
            raise UserError(rejected_value(f"{slot}.{name}", str(value), error, {slot: kind})) from error
    return typed
