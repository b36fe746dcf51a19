"""Identity of a stage: a hash of everything that can change its result.

A fingerprint covers the resolved specification with every value, defaults included, the digest of the data
that the stage reads, the fingerprints of its parents, and the version of its code.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any

from mvcgc import parts

# Dotted keys of a stage's specification that cannot change its result. Everything else counts.
EXCLUDED: tuple[str, ...] = (
    "dataset.name",  # a label for folders and tables; the videos are in the manifest's digest
)

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def plain(value: Any) -> Any:
    """``value`` as dicts with sorted string keys, lists, strings, numbers, booleans and None.

    Dataclasses become dicts of all their fields, enums their values, paths their text, tuples lists. The
    settings of a part (`mvcgc.parts`) also say which part it is.
    Raises TypeError for anything else, ValueError for a float that is not finite.
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a specification holds the number {value}, which has no identity")
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        value = {**fields, **parts.identity(value)} if isinstance(value, parts.PartConfig) else fields
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise TypeError(f"keys of a specification are strings, this one is {key!r}")
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a specification cannot hold a {type(value).__name__}: {value!r}")


def canonical_json(value: Any) -> str:
    """The one JSON text of ``value`` (see `plain`): keys sorted, no spaces, floats by their exact repr."""
    return _CANONICAL.encode(plain(value))


def semantic(spec: Mapping[str, Any]) -> dict[str, Any]:
    """``spec`` (plain) without the keys of `EXCLUDED`."""
    kept = dict(spec)
    for dotted in EXCLUDED:
        *folders, last = dotted.split(".")
        node = kept
        for name in folders:
            if not isinstance(node.get(name), Mapping):
                break
            node[name] = dict(node[name])
            node = node[name]
        else:
            node.pop(last, None)
    return kept


def fingerprint(
    name: str, code_version: int | str, spec: Mapping[str, Any], dataset_digest: str, parents: Sequence[str]
) -> str:
    """16 hexadecimal digits that stand for a stage; ``parents`` are fingerprints, by role in order."""
    spec_json = canonical_json(semantic(plain(spec)))
    return fingerprint_of_text(name, code_version, spec_json, dataset_digest, parents)


def fingerprint_of_text(
    name: str, code_version: int | str, spec_json: str, dataset_digest: str, parents: Sequence[str]
) -> str:
    """`fingerprint` where the canonical JSON of the semantic specification is already at hand."""
    head = _CANONICAL.encode(
        {"name": name, "code": code_version, "dataset": dataset_digest, "parents": list(parents)}
    )
    return hashlib.sha256(f"{head}\n{spec_json}".encode()).hexdigest()[:16]
