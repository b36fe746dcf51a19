"""Sorts a graph's stages into finished, run by others and to do: where every executor starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.plan import Action, Graph, Stage, Verdict
from mvcgc.runs.state import valid_done


@dataclass
class Worklist:
    """Stages by id; ``attached`` are run by others, with the reason."""

    done: set[str] = field(default_factory=set)
    attached: dict[str, str] = field(default_factory=dict)
    pending: dict[str, Stage] = field(default_factory=dict)


def make_worklist(
    graph: Graph, verdicts: Mapping[str, Verdict], root: Path, say: Callable[[str], None]
) -> Worklist:
    """Sort the graph's stages by their verdicts.

    Planning compared the sizes of outputs; those to build on are compared by content here.
    """
    worklist = Worklist()
    for key, stage in graph.stages.items():
        match verdicts[key].action:
            case Action.CACHED | Action.UNNEEDED:
                worklist.done.add(key)
            case Action.ATTACHED:
                worklist.attached[key] = verdicts[key].reason
            case Action.SUBMIT:
                worklist.pending[key] = stage
    unverified = [parent for stage in worklist.pending.values() for parent in stage.parents.values()]
    verified: set[str] = set()
    while unverified:
        parent = unverified.pop()
        if parent.id not in worklist.done or parent.id in verified:
            continue
        verified.add(parent.id)
        if valid_done(parent.folder(root)) is None:
            say(f"{parent.name} is damaged and will run again")
            worklist.done.remove(parent.id)
            worklist.pending[parent.id] = parent
            unverified += parent.parents.values()
    return worklist
