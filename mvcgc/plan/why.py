"""Why a stage is not the one that was run before: the fields that differ from the nearest finished one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvcgc.errors import UserError
from mvcgc.parts import SOURCE, TARGET, VERSION
from mvcgc.plan.graph import Stage
from mvcgc.runs.fingerprint import plain, semantic
from mvcgc.runs.folder import StageDamaged, StageFolder
from mvcgc.stages.spec import StageConfig

ABSENT = "(absent)"


@dataclass(frozen=True)
class Difference:
    """A field as it is now, and as it was in the nearest finished stage."""

    field: str
    now: Any
    then: Any

    def __str__(self) -> str:
        return f"{self.field}: {self.now}, was {self.then}"


@dataclass(frozen=True)
class Explanation:
    """``nearest`` is the folder compared with, None if no stage of that name has finished.

    ``differences`` are empty if that is the stage itself.
    """

    stage: Stage
    nearest: Path | None
    differences: list[Difference]

    def __str__(self) -> str:
        if self.nearest is None:
            return f"{self.stage.id}: no stage {self.stage.name} has finished before"
        if not self.differences:
            return f"{self.stage.id}: finished, nothing to run"
        lines = [f"{self.stage.id} differs from the nearest finished one, {self.nearest.name}, in"]
        return "\n".join([*lines, *(f"  {difference}" for difference in self.differences)])


def why(stage: Stage, root: Path) -> Explanation:
    """Compare ``stage`` with every finished stage of its name under ``root``; the fewest differences win."""
    own = stage.folder(root)
    if _finished(own):
        return Explanation(stage, own.path, [])
    found = [
        (_differences(stage, config), folder.path) for folder, config in _finished_stages(stage.name, root)
    ]
    if not found:
        return Explanation(stage, None, [])
    differences, nearest = min(found, key=lambda one: (len(one[0]), one[1].name))
    return Explanation(stage, nearest, differences)


def _finished_stages(name: str, root: Path) -> Iterator[tuple[StageFolder, StageConfig]]:
    pattern = f"{name}-{'[0-9a-f]' * 16}"
    for path in sorted((root / "stages").glob(pattern)):
        folder = StageFolder(path)
        if _finished(folder):
            try:
                yield folder, StageConfig.read(folder)
            except UserError:
                continue  # written by another version of this project: nothing to compare with


def _finished(folder: StageFolder) -> bool:
    try:
        return folder.read_done() is not None
    except StageDamaged:
        return False


def _differences(stage: Stage, then: StageConfig) -> list[Difference]:
    """All that makes the fingerprints differ; a parent's own differences stand under the parent's name."""
    now_fields = {**_flat("", semantic(plain(stage.spec))), "code version": stage.code_version}
    then_fields = {**_flat("", semantic(then.spec)), "code version": then.code_version}
    now_fields["dataset"], then_fields["dataset"] = stage.dataset.digest, then.dataset_digest
    differences = [
        Difference(_told(field), now_fields.get(field, ABSENT), then_fields.get(field, ABSENT))
        for field in sorted({*now_fields, *then_fields})
        if now_fields.get(field, ABSENT) != then_fields.get(field, ABSENT)
    ]
    for view in sorted({*stage.parents, *then.parents}):
        differences += _parent_differences(stage.parents.get(view), then.parents.get(view), view)
    return list(dict.fromkeys(differences))


def _told(field: str) -> str:
    """Return what identifies a part, in words: its class, its declared version, its source file's hash."""
    slot, _, name = field.rpartition(".")
    return f"{slot} {name.strip('_')}" if name in (TARGET, VERSION, SOURCE) else field


def _parent_differences(now: Stage | None, then: str | None, view: str) -> list[Difference]:
    if now is None or then is None:
        return [Difference(f"{view} encoder from", now.id if now else ABSENT, then or ABSENT)]
    folder = StageFolder(Path(then))
    if folder.path.name == now.id.rpartition("/")[2]:
        return []
    try:
        config = StageConfig.read(folder)
    except UserError:
        return [Difference(f"{view} encoder from", now.id, folder.path.name)]
    if config.name != now.name:
        return [Difference(f"{view} encoder from", now.name, config.name)]
    return [
        Difference(f"{now.name}: {inner.field}", inner.now, inner.then) for inner in _differences(now, config)
    ]


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    """A tree's leaves by dotted key; lists are leaves, an empty dict is one too."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(f"{prefix}.{key}" if prefix else key, inner)
    return flat
