"""Parts: classes that a configuration names by import path, built-in ones and a user's own alike.

A part is a class with its settings, a dataclass called ``Config``. A YAML file of its group names it::

    _target_: mylab.methods.HardNegatives
    beta: 0.5

The settings of a part know their class, and with it the part's identity: import path, declared version and,
outside this package, a hash of its source, so that an edit is never answered from the cache.
"""

import dataclasses
import difflib
import hashlib
import importlib
import inspect
import site
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import cattrs
from cattrs.gen import make_dict_structure_fn

from mvcgc.errors import UserError

TARGET, VERSION, SOURCE = "_target_", "_version_", "_source_"
"""Keys of a part's identity beside its settings, in fingerprints and in ``config.yaml``."""

PACKAGE = "mvcgc"


@dataclass
class PartConfig:
    """Settings of a part. Each part class has a subclass of its own, which knows the part as ``part``."""

    part: ClassVar[type["Part"]]


class Part:
    """Base of everything that a user can replace.

    Attributes:
        version: raise it when a change of the class changes its results; every part declares its own.
        label: name in tables and in MLflow; by default the class's name in lower case.
        Config: the settings, a dataclass derived from that of the base; by default the same settings.
    """

    version: ClassVar[int]
    label: ClassVar[str]
    Config: ClassVar[type[PartConfig]] = PartConfig

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Give the class a ``Config`` of its own, so that settings lead back to their part."""
        super().__init_subclass__(**arguments)
        if "label" not in cls.__dict__:
            cls.label = cls.__name__.lower()
        if "Config" not in cls.__dict__:
            names = {"__module__": cls.__module__, "__qualname__": f"{cls.__qualname__}.Config"}
            cls.Config = dataclass(type("Config", (cls.Config,), names))
        elif "part" in vars(cls.Config):
            raise UserError(
                f"{cls.__module__}.{cls.__name__}.Config is that of {cls.Config.part.__name__}: derive one "
                "from it, or leave it out"
            )
        cls.Config.part = cls


Scalar = str | int | float | bool | None

P = TypeVar("P", bound=Part)


def load(target: Any, base: type[P], key: str) -> type[P]:
    """Import the part that ``target`` names.

    Args:
        target: import path, ``package.module.Class``.
        base: what the class must derive from.
        key: the key that holds the path, for messages.

    Raises:
        UserError: if it cannot be imported, is no such part, or lacks what a part must have.
    """
    where = f"{key}.{TARGET}={target}"
    module_name, _, name = str(target).rpartition(".")
    if not isinstance(target, str) or not module_name or not name:
        raise UserError(f"{where}: give an import path, such as mylab.parts.{base.__name__}")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(f"{where}: {_import_problem(module_name, error)}") from error
    found = getattr(module, name, None)
    if found is None:
        classes = [one for one, value in vars(module).items() if inspect.isclass(value)]
        near = difflib.get_close_matches(name, classes, n=1, cutoff=0.5)
        hint = f", did you mean {near[0]}?" if near else ""
        raise UserError(f"{where}: {module_name} has no class {name}{hint}")
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise UserError(f"{where}: is no {base.__module__}.{base.__name__}: derive it from that class")
    _check(found, base, where)
    return found


def _check(found: type[Part], base: type[Part], where: str) -> None:
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise UserError(f"{where}: {found.__name__} does not define {', '.join(missing)}")
    version = found.__dict__.get("version")
    if type(version) is not int:
        raise UserError(
            f"{where}: {found.__name__} declares no version: write version = 1 into the class, and raise it "
            "whenever its results change"
        )
    config = found.Config
    if not (inspect.isclass(config) and issubclass(config, base.Config)):
        raise UserError(f"{where}: {found.__name__}.Config does not derive from {base.__name__}.Config")
    if "__dataclass_fields__" not in config.__dict__:
        raise UserError(f"{where}: {found.__name__}.Config is no dataclass: write @dataclass above it")


def _import_problem(module_name: str, error: Exception) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and f"{module_name}.".startswith(f"{missing}."):
        return (
            f"there is no module {missing}; it is looked for in the working directory ({Path.cwd()}), "
            "in PYTHONPATH and among installed packages"
        )
    return f"importing {module_name} raised {one_line(error)}"


def one_line(error: BaseException) -> str:
    """Return the kind, the text and the place of an error of a user's code."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    own = [frame for frame in frames if not frame.filename.startswith(("<", sys.prefix))]
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"


def target_of(part: type[Part]) -> str:
    """Return the import path of a part."""
    return f"{part.__module__}.{part.__qualname__}"


def identity(config: PartConfig) -> dict[str, Any]:
    """Return what a fingerprint says of a part beside its settings; `load` and `verify` are its inverse."""
    part = type(config).part
    found: dict[str, Any] = {TARGET: target_of(part), VERSION: part.version}
    if files := own_sources(part):
        found[SOURCE] = _digest(files)
    return found


def verify(part: type[Part], recorded: dict[str, Any], key: str) -> None:
    """Check that a part is the one that was recorded.

    Raises:
        UserError: if its version or its source has changed since.
    """
    now = {VERSION: part.version, SOURCE: _digest(files) if (files := own_sources(part)) else None}
    for name, value in now.items():
        if recorded.get(name) != value:
            changed = "version" if name == VERSION else "source"
            raise UserError(
                f"{key}: the {changed} of {target_of(part)} has changed since the run was planned: "
                "start it again"
            )


def own_sources(part: type[Part]) -> tuple[Path, ...]:
    """Return the source files, outside of installed packages, of a part, its settings and their bases."""
    classes = {*part.__mro__, *part.Config.__mro__}
    files = set()
    for one in classes:
        top = one.__module__.partition(".")[0]
        if top in (PACKAGE, "builtins"):
            continue
        file = getattr(sys.modules.get(one.__module__), "__file__", None)
        if file and not _installed(Path(file)):
            files.add(Path(file).resolve())
    return tuple(sorted(files))


def import_folders(part: type[Part]) -> list[str]:
    """Return the folders that must be on ``sys.path`` to import a part; none for installed ones."""
    folders = []
    for one in part.__mro__:
        module = sys.modules.get(one.__module__)
        file = getattr(module, "__file__", None)
        if file is None or one.__module__.partition(".")[0] == PACKAGE or _installed(Path(file)):
            continue
        depth = one.__module__.count(".") + (Path(file).name == "__init__.py")
        folders.append(str(Path(file).resolve().parents[depth]))
    return list(dict.fromkeys(folders))


def structure_parts(
    converter: cattrs.Converter, check: Callable[[type[Part], dict[str, Any], str], None]
) -> None:
    """Have ``converter`` read the settings of parts by the class that they name.

    Args:
        converter: of plain data (`mvcgc.runs.fingerprint.plain`) to dataclasses.
        check: given the class, its recorded identity and the name of its base, refuses it; such as `verify`.
    """

    def structured(content: dict[str, Any], kind: type[PartConfig]) -> PartConfig:
        values = dict(content)
        recorded = {key: values.pop(key) for key in (TARGET, VERSION, SOURCE) if key in values}
        name = kind.part.__name__.lower()
        part = load(recorded.get(TARGET), kind.part, name)
        check(part, recorded, name)
        structure = make_dict_structure_fn(part.Config, converter, _cattrs_forbid_extra_keys=True)
        return structure(values, part.Config)

    converter.register_structure_hook_func(
        lambda kind: isinstance(kind, type) and issubclass(kind, PartConfig), structured
    )


def own_modules(parts: Iterable[type[Part]]) -> Iterator[Path]:
    """Yield the top-level packages (folders) or modules (files) of parts outside of installed packages."""
    for part in parts:
        for one in part.__mro__:
            top = one.__module__.partition(".")[0]
            for folder in import_folders(part) if top != PACKAGE else ():
                for place in (Path(folder) / top, Path(folder) / f"{top}.py"):
                    if place.exists():
                        yield place


def used_in(value: Any) -> Iterator[type[Part]]:
    """Yield the parts whose settings are anywhere within a value made of dataclasses, dicts and lists."""
    if isinstance(value, PartConfig):
        yield value.part
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from used_in(inner)


@cache
def _installed(file: Path) -> bool:
    """Return whether a file belongs to Python itself or to an installed package: versions stand for those."""
    return any(file.resolve().is_relative_to(root) for root in _installation())


@cache
def _installation() -> tuple[Path, ...]:
    roots = {*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values()}
    return tuple(Path(root).resolve() for root in roots if root)


def _digest(files: tuple[Path, ...]) -> str:
    content = hashlib.sha256()
    for file in files:
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()[:16]


def title(config: PartConfig) -> str:
    """Return the label of a part and those of its settings that are not the default, for a line of text."""
    usual = {field.name: field.default for field in dataclasses.fields(config)}
    other = {name: value for name, value in scalars(config).items() if getattr(config, name) != usual[name]}
    return ", ".join([config.part.label, *(f"{name}={value}" for name, value in other.items())])


def scalars(config: PartConfig, beyond: type[PartConfig] = PartConfig) -> dict[str, Scalar]:
    """Return the settings of a part that are single values, without those that ``beyond`` has, too."""
    known = {field.name for field in dataclasses.fields(beyond)}
    found: dict[str, Scalar] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        value = value.value if isinstance(value, Enum) else value
        if field.name not in known and (value is None or isinstance(value, str | int | float)):
            found[field.name] = value
    return found
