"""From lists of overrides to checked configurations: Hydra composes the groups, OmegaConf checks the values.

A table of many rows needs many configurations that differ in little. Hydra takes some 100 ms to compose
one, so each distinct choice of groups is composed once, and each component (``method``, ``cross``, ...) is
built once for each distinct set of values given for it. Configurations share components: treat them as
constants.
"""

import copy
import dataclasses
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra import initialize_config_module
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mvcgc.config.explain import as_user_error, rejected_value, several_values, unknown_key, wrong_option
from mvcgc.config.schema import Config
from mvcgc.config.slots import TASKS, downstream, settle
from mvcgc.errors import UserError

CONFIG_MODULE = "mvcgc.conf"
CONFIG_NAME = "config"
HYDRA_DEFAULTS = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}
"""Arguments of Hydra's entry points: Hydra 1.3 warns without ``version_base``, later ones with it."""
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
class _Base:
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


class Composer:
    """Composes configurations with one of Hydra's loaders, which knows the search path."""

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        _import_beside(loader)
        self._parser = OverridesParser.create(config_loader=loader)
        self._settings: dict[str, Setting] = {}
        self._options: dict[str, dict[str, Any]] = {}
        self._bases: dict[tuple[str, ...], _Base] = {}
        self._components: dict[tuple[tuple[str, ...], str, tuple[str, ...]], Any] = {}

    def compose(self, overrides: Sequence[str]) -> Config:
        """The configuration with ``overrides`` (``key=value`` or ``group=option``), later ones win.

        Raises UserError for whatever Hydra, OmegaConf or a component's own check refuses.
        """
        with user_errors():
            settings = [self.setting(text) for text in overrides]
            groups = _groups(settings)
            values = [setting for setting in settings if not setting.is_group]
            base = self._base(groups)
            for setting in values:
                if setting.component not in COMPONENTS:
                    raise UserError(unknown_key(setting.key, base.slots))
            concerned = {name for setting in values for name in base.concerns[setting.component]}
            return Config(
                **{
                    name: self._component(groups, base, name, values)
                    if name in concerned
                    else _unset(base, name)
                    for name in COMPONENTS
                }
            )

    def setting(self, text: str) -> Setting:
        """What an override says. Raises UserError for one that does not set exactly one key to one value."""
        if text not in self._settings:
            with user_errors():
                override = self._parser.parse_overrides([text])[0]
            self._settings[text] = self._setting_of(override, text)
        return self._settings[text]

    def choice(self, overrides: Sequence[str], group: str) -> str | None:
        """The option of ``group`` that holds with ``overrides``; None if none is chosen."""
        with user_errors():
            option = self._base(_groups([self.setting(text) for text in overrides])).choices[group]
        return None if option in (None, "null") else str(option)

    def option(self, setting: Setting) -> dict[str, Any]:
        """The keys that a group's option itself sets, and to what.

        Nothing for an option that builds on others, as scales do: it cannot be read alone.
        """
        if setting.text not in self._options:
            try:
                name = f"{setting.key}/{setting.value}"
                alone = self._loader.load_configuration(name, [], run_mode=RunMode.RUN)
            except ConfigCompositionException:
                self._options[setting.text] = {}
            else:
                own = OmegaConf.masked_copy(alone, [key for key in alone if key in COMPONENTS])
                self._options[setting.text] = _leaves(OmegaConf.to_container(own))
        return self._options[setting.text]

    def _setting_of(self, override: Override, text: str) -> Setting:
        if override.is_add() or override.is_force_add() or override.is_delete():
            raise UserError(f"{text}: keys can neither be added nor removed; write it without {text[0]}")
        if override.is_sweep_override():
            raise UserError(several_values(text))
        key, value = override.get_key_element(), override.value()
        is_group = key in self._base(()).choices
        if is_group and isinstance(value, str):
            self._refuse_two(key, value)
        if is_group and not isinstance(value, str):
            options = self._loader.get_group_options(key)
            raise UserError(wrong_option(key, text.partition("=")[2], options))
        return Setting(key, key.partition(".")[0], value, text, is_group)

    def _refuse_two(self, group: str, option: str) -> None:
        """Raise UserError if another folder has an option of the same name: Hydra would take the first."""
        name = f"{group}/{option}"
        # A folder may be given twice, as conf/ of the working directory and by --config-dir.
        places = {
            str(Path(source.path).resolve()) if source.scheme() == "file" else source.full_path()
            for source in self._loader.get_sources()
            if source.available() and source.is_config(name)
        }
        if len(places) > 1:
            first, second = sorted(places, key=lambda place: (place.startswith("/"), place))[:2]
            there = "is a built-in option, too" if not first.startswith("/") else f"lies in {first}, too"
            raise UserError(f"{group}={option}: {second}/{name}.yaml {there}: rename it")

    def text(self, overrides: Sequence[str]) -> str:
        """Return the configuration with ``overrides`` as YAML, every key with the value that holds.

        Raises UserError as `compose` does.
        """
        self.compose(overrides)
        settings = [self.setting(text) for text in overrides]
        with user_errors(), ExitStack() as undo:
            base = self._base(_groups(settings))
            for setting in settings:
                if not setting.is_group:
                    undo.callback(_set(base, setting))
            own = OmegaConf.masked_copy(base.config, list(COMPONENTS))
            return OmegaConf.to_yaml(own)

    def _base(self, groups: tuple[str, ...]) -> _Base:
        if groups not in self._bases:
            config = self._loader.load_configuration(CONFIG_NAME, list(groups), run_mode=RunMode.RUN)
            choices = dict(config.hydra.runtime.choices)
            slots = settle(config)
            refers_to = _closure({name: _references(config._get_node(name)) for name in COMPONENTS})
            concerns = {
                name: frozenset(other for other in COMPONENTS if other == name or name in refers_to[other])
                for name in COMPONENTS
            }
            self._bases[groups] = _Base(config, choices, slots, refers_to, concerns)
        return self._bases[groups]

    def _component(self, groups: tuple[str, ...], base: _Base, name: str, values: Sequence[Setting]) -> Any:
        concerned = base.refers_to[name] | {name}
        for setting in values:
            if setting.component == name and "${" in setting.text:
                concerned |= _references_in(setting.text)
        relevant = [setting for setting in values if setting.component in concerned]
        key = (groups, name, tuple(setting.text for setting in relevant))
        if key not in self._components:
            self._components[key] = _build(base, name, relevant)
        return self._components[key]


def compose(overrides: Sequence[str]) -> Config:
    """One configuration, from Python; see `Composer.compose`."""
    with composer() as own:
        return own.compose(overrides)


@contextmanager
def composer() -> Iterator[Composer]:
    """A `Composer` outside of a Hydra program; inside one it takes that program's loader."""
    instance = GlobalHydra.instance()
    if instance.is_initialized():
        yield Composer(instance.config_loader())
        return
    with initialize_config_module(CONFIG_MODULE, **HYDRA_DEFAULTS):
        yield Composer(instance.config_loader())


@contextmanager
def user_errors() -> Iterator[None]:
    """Tell what Hydra and OmegaConf raise inside as `UserError`.

    Hydra raises bare ValueErrors too where arguments do not go together; those of our own code are bugs.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise as_user_error(error) from error
    except ValueError as error:
        if not isinstance(error, UserError) and _raised_by_hydra(error):
            raise as_user_error(error) from error
        raise


def _import_beside(loader: ConfigLoader) -> None:
    """Have modules found in the working directory and beside the folders of the user's configuration."""
    places = [element.path for element in loader.get_search_path().get_path()]
    folders = [Path(place.removeprefix("file://")) for place in places if place.startswith("file://")]
    for folder in [Path.cwd(), *(folder.parent for folder in folders)]:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def _raised_by_hydra(error: ValueError) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and str(frames[-1][0].f_globals.get("__name__", "")).startswith("hydra.")


def _unset(base: _Base, name: str) -> Any:
    if name not in base.unset:
        base.unset[name] = _build(base, name, [])
    return base.unset[name]


def _build(base: _Base, name: str, values: Sequence[Setting]) -> Any:
    """The object of component ``name`` with ``values`` set; leaves the base as it was."""
    with ExitStack() as undo:
        for setting in values:
            undo.callback(_set(base, setting))
        node = base.config[name]
        try:
            if name == TASKS:
                return downstream({key: _object(node[key]) for key in node})
            return _object(node)
        except UserError as error:
            raise _with_users_key(error, node, name) from error


def _object(node: Any) -> Any:
    return OmegaConf.to_object(node) if isinstance(node, DictConfig | ListConfig) else node


def _set(base: _Base, setting: Setting) -> Callable[[], None]:
    """Set the value; returns what puts the old one back. Raises UserError if the key cannot take it."""
    config = base.config
    parent_key, _, name = setting.key.rpartition(".")
    try:
        parent = OmegaConf.select(config, parent_key) if parent_key else config
        if isinstance(parent, ListConfig):
            raise UserError(f"{setting.text}: give the whole list, {parent_key}=[...]")
        if setting.key in base.slots and not isinstance(setting.value, dict):
            given = setting.text.partition("=")[2]
            raise UserError(rejected_value(setting.key, given, OmegaConfBaseException(), base.slots))
        old = copy.deepcopy(parent._get_node(name)) if isinstance(parent, DictConfig) else None
        OmegaConf.update(config, setting.key, setting.value, merge=True)
    except OmegaConfBaseException as error:
        given = setting.text.partition("=")[2]
        raise UserError(rejected_value(setting.key, given, error, base.slots)) from error
    return lambda: parent.__setitem__(name, old)


def _leaves(node: Any, prefix: str = "") -> dict[str, Any]:
    """The values of a tree by dotted key; lists are values."""
    if not isinstance(node, dict):
        return {prefix: node}
    leaves = {}
    for name, inner in node.items():
        leaves.update(_leaves(inner, f"{prefix}.{name}" if prefix else name))
    return leaves


def _groups(settings: Sequence[Setting]) -> tuple[str, ...]:
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


def _references(node: Any) -> frozenset[str]:
    """The top-level keys that a node's interpolations name."""
    if not OmegaConf.is_config(node):
        return _references_in(str(node))
    return _references_in(OmegaConf.to_yaml(node, resolve=False))


def _references_in(text: str) -> frozenset[str]:
    return frozenset(_REFERENCE.findall(text))


def _closure(direct: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Add what the referred to refer to."""
    reached = dict(direct)
    for _ in direct:
        reached = {
            name: keys.union(*(reached.get(key, frozenset()) for key in keys))
            for name, keys in reached.items()
        }
    return reached
