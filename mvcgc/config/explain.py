"""From what Hydra and OmegaConf raise to the one line that a user can act on."""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from hydra.errors import (
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from mvcgc.config.schema import Config
from mvcgc.errors import UserError
from mvcgc.method.mvcgc import MVCGC
from mvcgc.parts import PartConfig
from mvcgc.stages.evaluate.kinds import Finetune, Linear

GROUPS = ("scale", "sweeps", "hydra/launcher")
"""Groups whose name is not a key of the configuration too."""

FOREIGN_LAUNCHERS = ("basic", "submitit_local", "submitit_slurm")
"""Hydra's own: they know nothing of stages."""

Slots = Mapping[str, type]
"""By dotted key: the class of the settings below it (`mvcgc.config.slots`)."""

NO_SLOTS: Slots = {}

_USUAL: Slots = {
    "method": MVCGC.Config,
    "downstream.linear": Linear.Config,
    "downstream.finetune": Finetune.Config,
}
"""What is suggested where Hydra refuses a key: it has not come to the classes yet."""

_AMBIGUOUS = re.compile(r"Ambiguous value for argument '([^']+)'")
_REJECTED_KEY = re.compile(r"Could not override '([^']+)'")
_REJECTED_OVERRIDE = re.compile(r"Error merging override ([^=]+)=(.*)", re.DOTALL)
_REFERS_TO_MISSING = re.compile(r"Missing mandatory value: (\S+)")
_NOT_A_NAME = "Config group override must be a string or a list"
_NOT_THERE = re.compile(r"Could not load '(.+)/([^/']+)'")
_IN_FILE = re.compile(r"In '([^']+)': \w+ raised while composing config:\n(.*)", re.DOTALL)


def as_user_error(error: HydraException | OmegaConfBaseException | ValueError) -> UserError:
    """The same mistake, told in one line that names the key, the value and the remedy."""
    return UserError(_line_of(error))


def _line_of(error: BaseException) -> str:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return wrong_option(group, option, error.options)
    if match := _NOT_THERE.search(str(error)):  # one of a list of options, of which Hydra names no group
        return f"{match[1]}={match[2]}: there is no such option"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: is not key=value; special characters need quotes, as in 'key=\"a=b\"'"
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return _of_node(error, str(error.full_key))
    return _of_composition(error) or _first_line(str(error))


def _of_composition(error: BaseException) -> str | None:
    text = str(error)
    if match := _AMBIGUOUS.match(text):
        return several_values(match[1])
    if match := _REJECTED_KEY.match(text):
        return unknown_key(match[1])
    if match := _REJECTED_OVERRIDE.match(text):
        return rejected_value(match[1], match[2], error.__cause__ or error)
    if text.startswith(_NOT_A_NAME):  # Hydra does not say which group
        return "a group takes the name of one of its options, as in method=mvcgc, and no number"
    if match := _IN_FILE.match(text):
        return f"in {match[1]}.yaml: {_explain_merge(match[2])}"
    return None


def _of_node(error: OmegaConfBaseException, key: str) -> str:
    if isinstance(error, ConfigKeyError | ConfigAttributeError):
        return unknown_key(key)
    if isinstance(error, MissingMandatoryValue):
        return missing_value(key)
    if match := _REFERS_TO_MISSING.search(str(error)):  # dataset.name is made of dataset.file
        return missing_value(match[1])
    return f"{key}: {_first_line(str(error))}"


def unknown_key(key: str, slots: Slots = NO_SLOTS) -> str:
    """For a key that the configuration does not have."""
    if slot := next((slot for slot in slots if key.startswith(f"{slot}.")), None):
        return _unknown_setting(slot, key.removeprefix(f"{slot}."), slots[slot])
    nearest = nearest_key(key, slots)
    remedy = f"did you mean {nearest}?" if nearest else "see python -m mvcgc.run --cfg job for all keys"
    return f"there is no key {key}: {remedy}"


def _unknown_setting(slot: str, name: str, kind: type) -> str:
    """For a key that the class in ``slot`` does not have, though another one may."""
    own = list(keys_of(kind))
    if close := difflib.get_close_matches(name, own, n=1, cutoff=0.65):
        remedy = f"did you mean {slot}.{close[0]}?"
    else:
        chosen = f"{slot}={kind.part.label}" if issubclass(kind, PartConfig) and "." not in slot else slot
        remedy = f"{chosen} has {', '.join(f'{slot}.{key}' for key in own)}"
    return f"there is no key {slot}.{name}: {remedy}"


def wrong_option(group: str, option: str, options: Sequence[str]) -> str:
    """For a group that has no such option."""
    ours = [name for name in options if group != "hydra/launcher" or name not in FOREIGN_LAUNCHERS]
    return f"{group}={option}: choose one of {', '.join(nearest_first(option, ours))}"


def several_values(override: str) -> str:
    """For ``key=a,b`` where there is one run."""
    return f"{override}: one value is wanted here; several runs take -m, a list is written [a,b]"


def missing_value(key: str) -> str:
    """For a key that has no default and was not given."""
    return f"{key} is not set: give it as {key}=..."


def rejected_value(key: str, value: str, error: BaseException, slots: Slots = NO_SLOTS) -> str:
    """For a value that its key cannot take; says what it can."""
    if isinstance(error, ConfigKeyError | ConfigAttributeError):
        return unknown_key(key, slots)
    kind = type_of(key, slots)
    if kind is None:
        return unknown_key(key, slots)
    if isinstance(kind, type) and issubclass(kind, Enum):
        names = nearest_first(value, [member.name for member in kind])
        return f"{key}={value}: choose one of {', '.join(names)}"
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        inner = ", ".join(f"{key}.{field.name}" for field in dataclasses.fields(kind))
        return f"{key}={value}: {key} is a group of keys; set one of {inner}"
    return f"{key}={value}: {_reason(kind, error)}"


def whole_slot(override: str, key: str, slots: Slots) -> str:
    """For a part, or a dict of parts, that is set as a whole: its class comes from a file of its group."""
    inner = [
        f"{slot}.{name}"
        for slot, kind in slots.items()
        if f"{slot}.".startswith(f"{key}.")
        for name in keys_of(kind)
    ]
    remedy = f"set one of {', '.join(inner)}" if inner else "choose one with downstream=... that names them"
    return f"{override}: {key} is a group of keys; {remedy}"


def nearest_key(key: str, slots: Slots = NO_SLOTS) -> str | None:
    """The valid key that a mistyped one most likely stands for."""
    own = [f"{slot}.{name}" for slot, kind in (slots or _USUAL).items() for name in keys_of(kind)]
    of_dicts = [] if slots else list(_keys_of_dicts(key))
    valid = [*own, *keys_of(Config), *of_dicts, *GROUPS]
    if close := difflib.get_close_matches(key, valid, n=1, cutoff=0.7):
        return close[0]
    # The right name in the wrong place: lr for cross.lr, or a name mistyped below the right component.
    last = key.rpartition(".")[2]
    for candidate in valid:
        if candidate.rpartition(".")[2] == last:
            return candidate
    close = difflib.get_close_matches(last, [name.rpartition(".")[2] for name in valid], n=1, cutoff=0.75)
    for candidate in valid:
        if close and candidate.rpartition(".")[2] == close[0]:
            return candidate
    return None


def nearest_first(value: str, options: Iterable[str]) -> list[str]:
    """``options`` by their likeness to ``value``, the likest first."""
    return sorted(
        options, key=lambda option: -difflib.SequenceMatcher(None, value.lower(), option.lower()).ratio()
    )


def keys_of(config: Any, prefix: str = "") -> Iterator[str]:
    """All dotted keys of a configuration dataclass, components before what they hold."""
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        key = f"{prefix}{field.name}"
        yield key
        if dataclasses.is_dataclass(hints[field.name]):
            yield from keys_of(hints[field.name], f"{key}.")


def _keys_of_dicts(key: str) -> Iterator[str]:
    """The keys below a dict of settings, such as ``resources``, for the name that ``key`` gives."""
    names = key.split(".")
    for name, hint in typing.get_type_hints(Config).items():
        kind = typing.get_args(hint)[1] if typing.get_origin(hint) is dict else None
        if len(names) > 2 and name == names[0] and dataclasses.is_dataclass(kind):
            yield from keys_of(kind, f"{name}.{names[1]}.")


def type_of(key: str, slots: Slots = NO_SLOTS) -> Any:
    """The declared type of a dotted key; None if there is no such key. ``X | None`` counts as X."""
    kind: Any = Config
    names = key.split(".")
    for depth in range(len(names), 0, -1):
        if (slot := ".".join(names[:depth])) in slots:
            kind, names = slots[slot], names[depth:]
            break
    for name in names:
        hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        if name not in hints:
            return None
        kind = hints[name]
        if isinstance(kind, types.UnionType):
            kind = next(member for member in typing.get_args(kind) if member is not types.NoneType)
    return kind


def _reason(kind: Any, error: BaseException) -> str:
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}.get(kind)
    if wanted:
        return f"must be {wanted}"
    if typing.get_origin(kind) is list:
        item = typing.get_args(kind)[0]
        among = f" of {', '.join(member.name for member in item)}" if issubclass(item, Enum) else ""
        return f"must be a list{among}, written [a,b]"
    return _first_line(str(error))


def _explain_merge(text: str) -> str:
    match = re.search(r"full_key: (\S+)", text)
    if match and text.startswith("Key "):
        return unknown_key(match[1])
    return f"{match[1]}: {_first_line(text)}" if match else _first_line(text)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
