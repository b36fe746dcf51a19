"""What a sweep wants drawn. It is part of the sweep's record, so that any shell can draw it later."""

import re
from dataclasses import dataclass, field
from enum import Enum

from mvcgc.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class PlotKind(Enum):
    """``curves`` over the course of a stage, a column ``against`` a number, ``bubbles`` of time, accuracy and
    storage, the ``confusion`` of classes, the class ``activation`` over videos' frames.
    """

    curves = "curves"
    against = "against"
    bubbles = "bubbles"
    confusion = "confusion"
    activation = "activation"


_NEEDED = {
    PlotKind.curves: ("stage", "y"),
    PlotKind.against: ("x", "y"),
    PlotKind.bubbles: ("x", "y", "area"),
    PlotKind.confusion: ("stage", "view", "rows"),
    PlotKind.activation: ("stage", "view"),
}
_TAKEN = {
    PlotKind.curves: ("x", "rows"),
    PlotKind.against: ("series", "rows"),
    PlotKind.bubbles: ("rows",),
    PlotKind.confusion: (),
    PlotKind.activation: ("rows",),
}


@dataclass
class PlotSpec:
    """A plot of a sweep, written as ``<sweep>.<name>.png`` and ``.svg``.

    A column of the table goes by its label or its metric, whichever no other column has. Raises UserError
    for what a kind lacks or does not take.

    Attributes:
        kind: see `PlotKind`; the fields that it does not use stay empty.
        name: by default the kind's.
        title: by default the table's.
        stage: whose journal is drawn (curves) or whose files (confusion, activation).
        view: of confusion and activation: ``rgb``, ``mv``, ...; of confusion also ``both``.
        x: against: a key of the configuration, as ``method.k``, or a column; bubbles: a column; curves:
            ``step``, the default, or of pre-training ``epoch``.
        y: columns, or of curves the journal's metrics: one panel each; bubbles take one.
        area: of bubbles: the column that a circle's area stands for.
        series: a key of the configuration; rows with the same value of it are joined by a line.
        rows: names of the rows to draw, by default all; confusion takes one.
    """

    kind: PlotKind
    name: str = ""
    title: str = ""
    stage: str = ""
    view: str = ""
    x: str = ""
    y: list[str] = field(default_factory=list)
    area: str = ""
    series: str = ""
    rows: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.name or self.kind.value
        if not _NAME.fullmatch(self.name):
            raise UserError(f"sweep.plots: name={self.name}: use letters, digits, _ and -: it names a file")
        about = f"sweep.plots: {self.name} of kind={self.kind.value}"
        needed = _NEEDED[self.kind]
        for key in ("stage", "view", "x", "y", "area", "series", "rows"):
            value = getattr(self, key)
            if key in needed and not value:
                raise UserError(f"{about} needs {key}")
            if value and key not in (*needed, *_TAKEN[self.kind]):
                raise UserError(f"{about} takes no {key}, leave it out")
        for key, one in (("y", PlotKind.bubbles), ("rows", PlotKind.confusion)):
            if self.kind is one and len(getattr(self, key)) != 1:
                raise UserError(f"{about}: {key} takes one entry")
        if self.kind is PlotKind.curves:
            self._check_steps(about)

    def _check_steps(self, about: str) -> None:
        self.x = self.x or "step"
        pretrains = self.stage == "cross" or self.stage.startswith("init/")
        if self.x not in ("step", "epoch"):
            raise UserError(f"{about}: x={self.x}: use step or epoch")
        if self.x == "epoch" and not pretrains:
            raise UserError(
                f"{about}: x=epoch is for cross and init/VIEW; steps of {self.stage} are no epochs"
            )
