"""Values on a composed configuration: set, build the objects of its components, put back."""

import copy
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mvcgc.config.explain import rejected_value, unknown_key
from mvcgc.config.schema import Config
from mvcgc.config.slots import FREE, TASKS, downstream, refuse_whole
from mvcgc.errors import UserError

COMPONENTS = tuple(part.name for part in dataclasses.fields(Config))
"""The top-level keys."""

_REFERENCE = re.compile(r"\$\{([a-z_]+)\b(?!:)")
_OWN_KEY = re.compile(r"((?:[a-z_]+\.)+)[a-z_]+=")


@dataclass(frozen=True)
class Setting:
    """One override, ``key=value``: a group's option (``method=coclr``) or a key's value.

    ``component`` is the top-level key that it belongs to.
    """

    key: str
    component: str
    value: Any
    text: str
    is_group: bool


@dataclass
class Base:
    """What one choice of groups composes to; ``refers_to`` by component, through its interpolations.

    ``concerns`` is the other way round, with the component itself; ``unset`` are the components that were
    built without further values, which most rows share.
    """

    config: DictConfig
    choices: dict[str, Any]
    slots: Mapping[str, type]
    refers_to: dict[str, frozenset[str]]
    concerns: dict[str, frozenset[str]]
    unset: dict[str, Any] = field(default_factory=dict)


def unset(base: Base, name: str) -> Any:
    if name not in base.unset:
        base.unset[name] = build(base, name, [])
    return base.unset[name]


def build(base: Base, name: str, values: Sequence[Setting]) -> Any:
    """The object of component ``name`` with ``values`` set; leaves the base as it was."""
    with ExitStack() as undo:
        for setting in values:
            undo.callback(set_value(base, setting))
        node = base.config[name]
        try:
            if name == TASKS:
                return downstream({key: to_object(node[key]) for key in node})
            return to_object(node)
        except UserError as error:
            raise _with_users_key(error, node, name) from error


def to_object(node: Any) -> Any:
    return OmegaConf.to_object(node) if isinstance(node, DictConfig | ListConfig) else node


def set_value(base: Base, setting: Setting) -> Callable[[], None]:
    """Set the value; returns what puts the old one back. Raises UserError if the key cannot take it."""
    config = base.config
    parent_key, _, name = setting.key.rpartition(".")
    try:
        refuse_whole(setting.key, setting.text, base.slots)
        parent = OmegaConf.select(config, parent_key) if parent_key else config
        if parent is None:
            raise UserError(unknown_key(setting.key, base.slots))
        if isinstance(parent, ListConfig):
            raise UserError(f"{setting.text}: give the whole list, {parent_key}=[...]")
        before = parent._get_node(name, validate_access=False) if isinstance(parent, DictConfig) else None
        old = copy.deepcopy(before)
        free = f"{setting.key}.".startswith(tuple(f"{key}." for key in FREE))
        OmegaConf.update(config, setting.key, setting.value, merge=True, force_add=free)
    except OmegaConfBaseException as error:
        given = setting.text.partition("=")[2]
        raise UserError(rejected_value(setting.key, given, error, base.slots)) from error
    return lambda: _put_back(parent, name, old)


def _put_back(parent: Any, name: str, old: Any) -> None:
    """Undo a setting. A key of a free mapping, such as init.weights.rgb, may not have been there."""
    if old is not None:
        parent[name] = old
        return
    with open_dict(parent):
        del parent[name]


def leaves(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of a tree by dotted key; lists are values."""
    if not isinstance(node, dict):
        return {prefix: node}
    found: dict[str, Any] = {}
    for name, inner in node.items():
        found |= leaves(inner, f"{prefix}.{name}" if prefix else name)
    return found


def groups_of(settings: Sequence[Setting]) -> tuple[str, ...]:
    return tuple(setting.text for setting in settings if setting.is_group)


def _with_users_key(error: UserError, node: Any, key: str) -> UserError:
    """A class that serves several components cannot know which one it is: put the key that was typed.

    ``OptimConfig`` says ``optim.epochs=0``; the user wrote ``downstream.linear.epochs=0``.
    """
    own = _OWN_KEY.match(str(error))
    if own is None or not isinstance(node, DictConfig):
        return error
    for name, part in node.items_ex(resolve=False):
        if isinstance(part, DictConfig):
            try:
                OmegaConf.to_object(part)
            except UserError as inner:
                return _with_users_key(inner, part, f"{key}.{name!s}")
    return UserError(str(error).replace(own[1], f"{key}."))


def references(node: Any) -> frozenset[str]:
    """The top-level keys that a node's interpolations name."""
    if not OmegaConf.is_config(node):
        return references_in(str(node))
    return references_in(OmegaConf.to_yaml(node, resolve=False))


def references_in(text: str) -> frozenset[str]:
    return frozenset(_REFERENCE.findall(text))


def closure(direct: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Add what the referred to refer to."""
    reached = dict(direct)
    for _ in direct:
        reached = {
            name: keys.union(*(reached.get(key, frozenset()) for key in keys))
            for name, keys in reached.items()
        }
    return reached
