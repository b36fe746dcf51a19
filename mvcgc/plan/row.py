"""Rows: the lines of a table, each an experiment with a name."""

from dataclasses import dataclass
from difflib import get_close_matches

from mvcgc.errors import UserError
from mvcgc.stages.experiment import Experiment, listed
from mvcgc.stages.spec import Runtime

Resources = dict[str, Runtime]
"""By kind of stage, what its stages run with; ``default`` is for kinds that are not named.

It does not change results, so it is in no fingerprint."""

DEFAULT = "default"


def runtime_of(resources: Resources, kind: str) -> Runtime:
    """Return what stages of ``kind`` run with."""
    return resources.get(kind) or resources.get(DEFAULT) or Runtime()


@dataclass
class Row:
    """One line of a table for one seed: a name, what it is, and what its stages run with.

    ``paper`` names the line of the paper's table to print beside it, ``view`` whose figures it shows where a
    column names none: one of the evaluated views, or ``both``; None for all of them.
    """

    name: str
    experiment: Experiment
    resources: Resources
    paper: str | None = None
    view: str | None = None

    def __post_init__(self) -> None:
        kinds = self.experiment.kinds
        for name in self.resources:
            if name not in (*kinds, DEFAULT):
                near = get_close_matches(name, kinds, n=1, cutoff=0.0)[0]
                raise UserError(f"resources.{name}: there is no such kind of stage, did you mean {near}?")
        views = self.experiment.evaluated_views
        if self.view not in (None, *views, *(["both"] if len(views) > 1 else [])):
            raise UserError(f"view={self.view}: the row evaluates {listed(views)}")

    @property
    def seed(self) -> int:
        """The experiment's."""
        return self.experiment.seed
