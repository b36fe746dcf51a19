"""Completions of names and overrides, for argcomplete: functions of the word so far and of what was parsed.

They print nothing and ignore files they cannot read: a shell that completes shows no errors.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mvcgc.commands import override_names
from mvcgc.commands.root import root
from mvcgc.errors import UserError
from mvcgc.runs.record import SweepRecord, list_records, read_record

Completer = Callable[..., Iterable[str]]

FLAGS = ("-m", "--multirun", "--help", "--cfg", "--config-dir", "--root")
"""Options of ``mvcgc run`` that are worth completing; Hydra has more."""
VALUES_OF = {"--cfg": ("job", "hydra", "all")}


def sweep_names(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """Return the names of sweeps, then their ids."""
    ids = [path.stem for path in list_records(_root(parsed_args))]
    return dict.fromkeys([*(each.rsplit("-", 2)[0] for each in ids), *reversed(ids)])


def stage_names(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """Return the names of stages in the newest sweep, then their ids."""
    record = _newest(_root(parsed_args))
    if record is None:
        return []
    return dict.fromkeys([*(stage.name for stage in record.stages.values()), *record.stages])


def sweep_or_stage_names(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """Return what `sweep_names` and `stage_names` do."""
    return [*sweep_names(parsed_args), *stage_names(parsed_args)]


def overrides(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """Return overrides of the configuration that begin with ``prefix``."""
    return override_names.completions(prefix, getattr(parsed_args, "config_dir", None))


def run_words(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """Return overrides, or options if ``prefix`` begins like one."""
    words: list[str] = parsed_args.words or []
    before = words[-1] if words else ""
    if before in VALUES_OF:
        return VALUES_OF[before]
    if prefix.startswith("-"):
        return FLAGS
    own = words[words.index("--config-dir") + 1 :] if "--config-dir" in words else []
    return override_names.completions(prefix, own[0] if own else None)


def _root(parsed: argparse.Namespace) -> Path:
    return Path(parsed.root) if "root" in parsed else root()


def _newest(folder: Path) -> SweepRecord | None:
    paths = list_records(folder)
    try:
        return read_record(paths[-1]) if paths else None
    except UserError:
        return None
