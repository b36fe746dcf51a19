"""Names of groups, options and keys that overrides take, fast enough to complete them in a shell.

Hydra can complete overrides too, but imports torch and composes the configuration at every key press, which
takes seconds. So groups and options are read from the folders, and keys from a cache that a change of the
package outdates.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

from mvcgc.files import write_atomic

CONFIG_DIR_VARIABLE = "MVCGC_CONFIG_DIR"
HIDDEN = ("hydra/help", "hydra/sweeper")
"""Groups that no user needs to choose from."""
FLAT = ("scale", "sweeps", "slurm")
"""Groups whose options set keys of other components, or of the launcher."""
LAUNCHER = "hydra.launcher."
PACKAGE = Path(__file__).resolve().parents[1]

Choices = dict[str, list[str]]
"""By key: the values it takes, as far as they can be listed."""


def completions(prefix: str, config_dir: str | None = None) -> list[str]:
    """Return the overrides that begin with ``prefix``.

    Args:
        prefix: a word so far, ``method``, ``method=mv`` or ``method=cmc,mv``.
        config_dir: value of ``--config-dir``.

    Returns:
        ``key=`` or ``key=value``; for an empty prefix the groups alone.
    """
    folders = conf_folders(config_dir)
    groups = groups_in(folders)
    key, equals, values = prefix.partition("=")
    if not equals:
        names = groups if not prefix else {*groups, *keys(), *_keys_of_options(folders)}
        return [f"{name}=" for name in sorted(names) if name.startswith(prefix)]
    given, comma, _ = values.rpartition(",")
    choices = groups.get(key) or keys().get(key, [])
    return [f"{key}={given}{comma}{choice}" for choice in choices]


def conf_folders(config_dir: str | None = None) -> list[Path]:
    """Return the folders that hold configuration groups: the package's and the user's own."""
    own = ("conf", os.environ.get(CONFIG_DIR_VARIABLE), config_dir)
    return [PACKAGE / "conf", *(Path(folder) for folder in own if folder)]


def groups_in(folders: Iterable[Path]) -> Choices:
    """Return the options of each group."""
    groups: dict[str, set[str]] = {}
    for folder in folders:
        for file in [*folder.glob("*/*.yaml"), *folder.glob("hydra/*/*.yaml")]:
            group = file.parent.relative_to(folder).as_posix()
            if group not in HIDDEN:
                groups.setdefault(group, set()).add(file.stem)
    return {group: sorted(options) for group, options in groups.items()}


def _keys_of_options(folders: Iterable[Path]) -> set[str]:
    """Return the keys that files of groups set: of a user's own part they are known from nowhere else."""
    import yaml

    found = set()
    for folder in folders:
        for file in folder.glob("*/*.yaml"):
            group = file.parent.name
            if group in FLAT:
                continue
            with suppress(OSError, yaml.YAMLError):
                content = yaml.safe_load(file.read_text())
                names = content if isinstance(content, dict) else ()
                found |= {f"{group}.{name}" for name in names if str(name).isidentifier() and name[0] != "_"}
    return found


def keys() -> Choices:
    """Return all keys of the configuration, from the cache if the package has not changed since."""
    cache = _cache()
    try:
        known: Choices = json.loads(cache.read_text())
    except (OSError, ValueError):
        known = _keys_of_configuration()
        with suppress(OSError):
            for old in cache.parent.glob("keys-*.json"):
                old.unlink()
            write_atomic(cache, json.dumps(known))
    return known


def _cache() -> Path:
    """Return the cache's file, whose name changes with the package's place and files."""
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.yaml")]
    newest = max(file.stat().st_mtime_ns for file in files)
    state = hashlib.sha256(f"{PACKAGE} {len(files)} {newest}".encode()).hexdigest()[:16]
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "mvcgc", f"keys-{state}.json")


def _keys_of_configuration() -> Choices:
    from dataclasses import fields, is_dataclass

    from mvcgc.config.explain import keys_of, type_of
    from mvcgc.config.schema import Config
    from mvcgc.launch.slurm.config import SlurmConfig

    found = {f"{LAUNCHER}{field.name}": _choices(field.type) for field in fields(SlurmConfig)}
    for slots in ({}, *_slots()):
        own = [f"{slot}.{name}" for slot, kind in slots.items() for name in keys_of(kind)]
        for key in own if slots else keys_of(Config):
            kind = type_of(key, slots)
            if not is_dataclass(kind):
                found[key] = _choices(kind)
    return found


def _slots() -> Iterable[dict[str, type]]:
    """Return for each built-in option of a slot the class of its settings, by slot."""
    import yaml

    from mvcgc.config.slots import SLOTS
    from mvcgc.parts import TARGET, load

    for slot, base in SLOTS.items():
        for file in sorted((PACKAGE / "conf" / slot).glob("*.yaml")):
            target = yaml.safe_load(file.read_text()).get(TARGET)
            if target:
                yield {slot: load(target, base, slot).Config}


def _choices(kind: Any) -> list[str]:
    if kind is bool:
        return ["true", "false"]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [member.name for member in kind]
    return []
