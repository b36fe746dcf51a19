"""The batch scripts of a plan, as they would be submitted."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mvcgc.launch.slurm.batch_script import batch_script
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.plan import Action, Graph, Stage, Verdict


def is_for_slurm(settings: SlurmConfig) -> bool:
    """Whether anything of a cluster was said, so that its scripts are of interest."""
    return dataclasses.replace(settings, action="slurm", why=None, clips_per_s=None) != SlurmConfig()


def scripts(graph: Graph, verdicts: Mapping[str, Verdict], settings: SlurmConfig, root: Path) -> list[str]:
    """A script for each sort of stage that is to run, with a line above that says whose it is.

    Stages of one sort and size have the same script but for names, folders and dependencies. The jobs that a
    script waits for have no number yet: it is given as ``<job of STAGE>``.
    """
    alike: dict[tuple[str, str], list[Stage]] = defaultdict(list)
    for key, stage in graph.stages.items():
        if verdicts[key].action is Action.SUBMIT:
            alike[stage.kind, repr(stage.runtime)].append(stage)
    return [
        f"# {_title(stages)}\n{batch_script(stages[0], settings, root, _after(stages[0], verdicts)).text}"
        for stages in alike.values()
    ]


def _title(stages: list[Stage]) -> str:
    more = f", and of {len(stages) - 1} more that differ in name, folder and dependency"
    return f"sbatch script of {stages[0].id}{more if len(stages) > 1 else ''}"


def _after(stage: Stage, verdicts: Mapping[str, Verdict]) -> list[str]:
    awaited = (Action.SUBMIT, Action.ATTACHED)
    parents = dict.fromkeys(parent.id for parent in stage.parents.values())
    return [f"<job of {parent}>" for parent in parents if verdicts[parent].action in awaited]
