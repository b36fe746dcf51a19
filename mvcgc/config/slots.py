"""Slots: keys whose class a configuration chooses by ``_target_``, and with it their keys.

Hydra composes such a key without knowing the class. Here it becomes a structured node of the class's
settings, so that values are checked and misspelt keys suggested as those of fixed keys are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mvcgc.config.explain import rejected_value, whole_slot
from mvcgc.config.schema import Config
from mvcgc.data.augment.base import Augmentation
from mvcgc.data.clips.modality import Modality
from mvcgc.data.index.layouts.base import DatasetConfig, Layout, named_after
from mvcgc.errors import UserError
from mvcgc.method.base import Method
from mvcgc.models.backbone import Backbone
from mvcgc.parts import TARGET, Part, PartConfig, load, one_line
from mvcgc.plan import DEFAULT
from mvcgc.stages.evaluate.metric import Metric
from mvcgc.stages.experiment import DownstreamConfig, DownstreamKeys
from mvcgc.stages.kind import StageKind
from mvcgc.stages.pretrain.kind import Cross, Init
from mvcgc.stages.spec import Runtime

SLOTS: dict[str, type[Part]] = {
    "dataset": Layout,
    "method": Method,
    "backbone": Backbone,
    "augment": Augmentation,
    "downstream.augment": Augmentation,
}
"""By dotted key: what its class must derive from."""

DICT_SLOTS: dict[str, type[Part]] = {"downstream.datasets": Layout, "downstream.metrics": Metric}
"""By dotted key of a dict of parts: what each of its classes must derive from."""

TASKS = "downstream"
"""The key below which each key that is not one of `DownstreamKeys` is a task, a kind of stages."""

VIEWS = "views"
"""The key below which each key is a view, with the settings of its modality."""

OPEN = (*SLOTS, *DICT_SLOTS, TASKS, VIEWS, "resources")
"""Keys that take any key while Hydra composes; what they may have is checked afterwards."""


FREE = ("init.weights",)
"""Mappings whose keys are the user's: views."""


def schema() -> DictConfig:
    """Return the root schema that Hydra composes into."""
    OmegaConf.register_new_resolver("dataset_name", named_after, replace=True)
    node = OmegaConf.structured(Config)
    assert isinstance(node, DictConfig)
    for slot in SLOTS:
        parent, name = _place(node, slot)
        parent[name] = {}
    for key in OPEN:
        OmegaConf.set_struct(OmegaConf.select(node, key), False)
    for key in FREE:
        OmegaConf.set_struct(OmegaConf.select(node, key), False)
    return node


def settle(config: DictConfig) -> dict[str, type]:
    """Turn every slot of a composed configuration into the structured settings of its class.

    Returns:
        By dotted key: the class of the settings below it, for keys that `Config` does not declare.

    Raises:
        UserError: if a class cannot be had, or a file sets a key that its class does not have.
    """
    slots = dict(SLOTS)
    for place, base in DICT_SLOTS.items():
        slots |= {f"{place}.{name}": base for name in OmegaConf.select(config, place)}
    known = {field.name for field in fields(DownstreamKeys)}
    tasks = [str(key) for key in config[TASKS] if key not in known]
    slots |= {f"{TASKS}.{task}": StageKind for task in tasks}
    if TARGET in config[VIEWS]:
        raise UserError(
            f"views.{TARGET}={config[VIEWS][TARGET]}: begin the file with `# @package views.NAME`, by which "
            "the view is known"
        )
    slots |= {f"{VIEWS}.{key}": Modality for key in config[VIEWS]}
    classes: dict[str, type] = {slot: _settle(config, slot, base) for slot, base in slots.items()}
    _give_resources(config, [Init.label, Cross.label, *tasks])
    for key in OPEN:
        OmegaConf.set_struct(OmegaConf.select(config, key), True)
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


def _settle(config: DictConfig, slot: str, base: type[Part]) -> type[PartConfig]:
    parent, name = _place(config, slot)
    node = parent[name]
    if not isinstance(node, DictConfig) or TARGET not in node:
        given = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
        raise UserError(
            f"{slot}={given}: names no class; write {TARGET}: mylab.parts.{base.__name__} into its file"
        )
    kind = load(node[TARGET], base, slot).Config
    parent[name] = _structured(slot, node, kind)
    return kind


def _place(config: DictConfig, slot: str) -> tuple[DictConfig, str]:
    """Return the node that holds the slot, and the slot's name within it."""
    parent, _, name = slot.rpartition(".")
    return (OmegaConf.select(config, parent) if parent else config), name


def refuse_whole(key: str, override: str, slots: Mapping[str, type[PartConfig]]) -> None:
    """Raise UserError if an override sets a part as a whole: its class comes from a file of its group."""
    if key in slots or key in DICT_SLOTS:
        raise UserError(whole_slot(override, key, slots))


def _structured(slot: str, node: DictConfig, kind: type[PartConfig]) -> DictConfig:
    try:
        typed = OmegaConf.structured(kind)
    except OmegaConfBaseException as error:
        raise UserError(f"{slot}: {kind.__module__}.{kind.__qualname__}: {one_line(error)}") from error
    assert isinstance(typed, DictConfig)
    if issubclass(kind, DatasetConfig):
        typed.name = kind.part.label  # so that ${dataset.name} is right where its file gives none
    for key, value in node.items_ex(resolve=False):
        name = str(key)
        if name == TARGET:
            continue
        try:
            OmegaConf.update(typed, name, value, merge=True)
        except OmegaConfBaseException as error:
            raise UserError(rejected_value(f"{slot}.{name}", str(value), error, {slot: kind})) from error
    return typed
