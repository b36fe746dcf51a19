"""What is to be done about each stage of a graph, and why."""

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mvcgc.plan.graph import Graph, Stage
from mvcgc.runs.state import State, stage_state

# Of the many figures of a stage, those by which people judge it.
HEADLINES = ("loss", "acc_", "mined_precision", "top1_", "r1_", "total_s", "storage_gb")


class Action(Enum):
    """CACHED: finished. ATTACHED: another runs it. SUBMIT: to run. UNNEEDED: its children are finished."""

    CACHED = "cached"
    ATTACHED = "attached"
    SUBMIT = "submit"
    UNNEEDED = "unneeded"


@dataclass(frozen=True)
class Verdict:
    """An action and its reason, one line."""

    action: Action
    reason: str


def judge(graph: Graph, root: Path) -> dict[str, Verdict]:
    """The verdict on each stage, by id, from what lies under the root of all runs. Changes nothing there."""
    existing = _existing(graph, root)
    verdicts: dict[str, Verdict] = {}
    for key, stage in graph.stages.items():
        own = _from_folder(stage, root) if key in existing else None
        verdicts[key] = own or Verdict(Action.SUBMIT, _new(stage, verdicts))
    # Backwards: a stage that is not finished is only missed by children that are not finished either.
    for key in reversed(graph.stages):
        children = graph.children[key]
        settled = all(verdicts[child.id].action in (Action.CACHED, Action.UNNEEDED) for child in children)
        if children and settled and verdicts[key].action is Action.SUBMIT:
            verdicts[key] = Verdict(Action.UNNEEDED, "all stages that build on it are finished")
    return verdicts


def _existing(graph: Graph, root: Path) -> set[str]:
    """Ids of those stages that have a folder: a listing per folder of folders, not a look per stage."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for key in graph.stages:
        by_folder[key.rpartition("/")[0]].append(key)
    existing: set[str] = set()
    for folder, keys in by_folder.items():
        try:
            names = set(os.listdir(root / "stages" / folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        existing.update(key for key in keys if key.rpartition("/")[2] in names)
    return existing


def _from_folder(stage: Stage, root: Path) -> Verdict | None:
    found = stage_state(stage.folder(root))
    match found.state:
        case State.FINISHED:
            assert found.done is not None
            figures = headline(found.done.metrics)
            return Verdict(Action.CACHED, f"finished: {figures}" if figures else "finished")
        case State.RUNNING:
            return Verdict(Action.ATTACHED, f"run by {found.detail}")
        case State.DAMAGED:
            return Verdict(Action.SUBMIT, f"damaged: {found.detail}")
        case State.FAILED:
            return Verdict(Action.SUBMIT, f"failed before: {found.detail}")
        case State.INTERRUPTED:
            return Verdict(Action.SUBMIT, f"interrupted {found.detail}")
        case State.MISSING:
            return None


def _new(stage: Stage, verdicts: dict[str, Verdict]) -> str:
    names = {parent.name: verdicts[parent.id].action for parent in stage.parents.values()}
    awaited = [name for name, action in names.items() if action is not Action.CACHED]
    return f"new, after {' and '.join(awaited)}" if awaited else "new"


def headline(metrics: Mapping[str, float]) -> str:
    """The figures of a finished stage by which it is judged, for a line; '' if it has none of them."""
    shown = [name for name in sorted(metrics) if name.startswith(HEADLINES)]
    return ", ".join(f"{name} {metrics[name]:.4g}" for name in shown)
