"""Slots: keys whose class a configuration chooses by ``_target_``, and with it their keys.

Hydra composes such a key without knowing the class. Here it becomes a structured node of the class's
settings, so that values are checked and misspelt keys suggested as those of fixed keys are.
"""

from collections.abc import Mapping

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mvcgc.config.explain import rejected_value, whole_slot
from mvcgc.config.schema import Config
from mvcgc.data.index.layouts.base import DatasetConfig, Layout, named_after
from mvcgc.errors import UserError
from mvcgc.method.base import Method
from mvcgc.parts import TARGET, Part, PartConfig, load, one_line

SLOTS: dict[str, type[Part]] = {"method": Method, "dataset": Layout}
"""By top-level key: what its class must derive from."""

DICT_SLOTS: dict[str, type[Part]] = {"downstream.datasets": Layout}
"""By dotted key of a dict of parts: what each of its classes must derive from."""


def schema() -> DictConfig:
    """Return the root schema that Hydra composes into; slots take any key at first."""
    OmegaConf.register_new_resolver("dataset_name", named_after, replace=True)
    node = OmegaConf.structured(Config)
    for slot in (*SLOTS, *DICT_SLOTS):
        OmegaConf.set_struct(OmegaConf.select(node, slot), False)
    assert isinstance(node, DictConfig)
    return node


def settle(config: DictConfig) -> dict[str, type[PartConfig]]:
    """Turn every slot of a composed configuration into the structured settings of its class.

    Returns:
        By slot, those in dicts by their whole dotted key: the class of its settings.

    Raises:
        UserError: if a class cannot be had, or a file sets a key that its class does not have.
    """
    slots = dict(SLOTS)
    for place, base in DICT_SLOTS.items():
        slots |= {f"{place}.{name}": base for name in OmegaConf.select(config, place)}
    classes = {}
    for slot, base in slots.items():
        node = OmegaConf.select(config, slot)
        target = node.get(TARGET) if isinstance(node, DictConfig) else None
        classes[slot] = load(target, base, slot).Config
        parent, _, name = slot.rpartition(".")
        (OmegaConf.select(config, parent) if parent else config)[name] = _structured(
            slot, node, classes[slot]
        )
    for place in DICT_SLOTS:
        OmegaConf.set_struct(OmegaConf.select(config, place), True)
    return classes


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
