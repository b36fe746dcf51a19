"""From lists of overrides to checked configurations: Hydra composes the groups, OmegaConf checks the values.

A table of many rows needs many configurations that differ in little. Hydra takes some 100 ms to compose
one, so each distinct choice of groups is composed once, and each component (``method``, ``cross``, ...) is
built once for each distinct set of values given for it. Configurations share components: treat them as
constants.
"""

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mvcgc.config.explain import as_user_error, several_values, unknown_key, wrong_option
from mvcgc.config.nodes import (
    COMPONENTS,
    Base,
    Setting,
    build,
    closure,
    groups_of,
    leaves,
    references,
    references_in,
    set_value,
    unset,
)
from mvcgc.config.schema import Config
from mvcgc.config.slots import VIEWS, settle
from mvcgc.errors import UserError

CONFIG_MODULE = "mvcgc.conf"
CONFIG_NAME = "config"
HYDRA_DEFAULTS = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}
"""Arguments of Hydra's entry points: Hydra 1.3 warns without ``version_base``, later ones with it."""


class Composer:
    """Composes configurations with one of Hydra's loaders, which knows the search path."""

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        _import_beside(loader)
        self._parser = OverridesParser.create(config_loader=loader)
        self._settings: dict[str, Setting] = {}
        self._options: dict[str, dict[str, Any]] = {}
        self._bases: dict[tuple[str, ...], Base] = {}
        self._components: dict[tuple[tuple[str, ...], str, tuple[str, ...]], Any] = {}

    def compose(self, overrides: Sequence[str]) -> Config:
        """The configuration with ``overrides`` (``key=value`` or ``group=option``), later ones win.

        Raises UserError for whatever Hydra, OmegaConf or a component's own check refuses.
        """
        with user_errors():
            settings = [self.setting(text) for text in overrides]
            groups = groups_of(settings)
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
                    else unset(base, name)
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
            option = self._base(groups_of([self.setting(text) for text in overrides])).choices[group]
        return None if option in (None, "null") else str(option)

    def option(self, setting: Setting) -> dict[str, Any]:
        """The keys that a group's option itself sets, and to what.

        Nothing for an option that builds on others, as scales do: it cannot be read alone.
        """
        if not isinstance(setting.value, str):
            return {}
        if setting.text not in self._options:
            try:
                name = f"{setting.key}/{setting.value}"
                alone = self._loader.load_configuration(name, [], run_mode=RunMode.RUN)
            except ConfigCompositionException:
                self._options[setting.text] = {}
            else:
                own = OmegaConf.masked_copy(alone, [key for key in alone if key in COMPONENTS])
                self._options[setting.text] = leaves(OmegaConf.to_container(own))
        return self._options[setting.text]

    def _setting_of(self, override: Override, text: str) -> Setting:
        if override.is_add() or override.is_force_add() or override.is_delete():
            raise UserError(f"{text}: keys can neither be added nor removed; write it without {text[0]}")
        if override.is_sweep_override():
            raise UserError(several_values(text))
        key, value = override.get_key_element(), override.value()
        is_group = key in self._base(()).choices
        listed: list[Any] = value if key == VIEWS and isinstance(value, list) else [value]
        if is_group and all(isinstance(one, str) for one in listed):
            for one in listed:
                self._refuse_two(key, one)
                if one is not value and one not in (options := self._loader.get_group_options(key)):
                    raise UserError(wrong_option(key, one, options))
        elif is_group:
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
            base = self._base(groups_of(settings))
            for setting in settings:
                if not setting.is_group:
                    undo.callback(set_value(base, setting))
            own = OmegaConf.masked_copy(base.config, list(COMPONENTS))
            return OmegaConf.to_yaml(own, resolve=True)

    def _base(self, groups: tuple[str, ...]) -> Base:
        if groups not in self._bases:
            config = self._loader.load_configuration(CONFIG_NAME, list(groups), run_mode=RunMode.RUN)
            choices = dict(config.hydra.runtime.choices)
            slots = settle(config)
            refers_to = closure({name: references(config._get_node(name)) for name in COMPONENTS})
            concerns = {
                name: frozenset(other for other in COMPONENTS if other == name or name in refers_to[other])
                for name in COMPONENTS
            }
            self._bases[groups] = Base(config, choices, slots, refers_to, concerns)
        return self._bases[groups]

    def _component(self, groups: tuple[str, ...], base: Base, name: str, values: Sequence[Setting]) -> Any:
        concerned = base.refers_to[name] | {name}
        for setting in values:
            if setting.component == name and "${" in setting.text:
                concerned |= references_in(setting.text)
        relevant = [setting for setting in values if setting.component in concerned]
        key = (groups, name, tuple(setting.text for setting in relevant))
        if key not in self._components:
            self._components[key] = build(base, name, relevant)
        return self._components[key]


def compose(overrides: Sequence[str]) -> Config:
    """Return the checked configuration that a list of overrides stands for, as ``mvcgc run`` composes it.

    Args:
        overrides: ``key=value`` or ``group=option``; later ones win.

    Raises:
        UserError: in one line, for what is misspelt, or cannot take its value.

    Example:
        >>> config = mvcgc.compose(["method=cmc", "cross.lr=0.01"])
        >>> config.cross.lr, config.seed, list(config.views)
        (0.01, 0, ['rgb', 'mv'])
    """
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
