"""The root of the configuration: every component's own dataclass under the key that users type.

Values live in ``mvcgc/conf``; the defaults here are those of the components.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from mvcgc.collect.config import TrackingConfig
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.plan import Column, Experiment, PlotSpec, TableSpec
from mvcgc.stages.experiment import DownstreamKeys
from mvcgc.stages.spec import Runtime
from mvcgc.train.optim import InitConfig, OptimConfig


@dataclass
class RowConfig:
    """One row of a table: the overrides that make it, and its label in the paper's table if it is there.

    ``view`` is whose figures it shows in columns that name no view, or ``both``; by default those of all that
    are evaluated. So rows that differ in the tested view share their stages.
    """

    name: str
    overrides: list[str] = field(default_factory=list)
    paper: str | None = None
    view: str | None = None


@dataclass
class SweepConfig:
    """What a file in ``sweeps/`` says: the table, its rows, its columns, its plots.

    ``baseline`` names the row that differences are taken to; ``paper_table`` is the paper's table to print
    beside. What the tables take from the scale: ``motion_sizes`` are the sides of the motion network's input
    for the ablation of resolution, ``flow`` the view that stands for optical flow, ``tvl1`` the tasks for
    TV-L1 in table 1, ``pair`` the two datasets that are tested on (``downstream=pair_<scale>``),
    ``pretrained`` the dataset whose rows of the paper's table 4 stand beside.
    """

    title: str = ""
    baseline: str | None = None
    paper_table: str | None = None
    columns: list[Column] = field(default_factory=list)
    plots: list[PlotSpec] = field(default_factory=list)
    rows: list[RowConfig] = field(default_factory=list)
    motion_sizes: list[int] = field(default_factory=list)
    flow: str = "flow"
    tvl1: list[str] = field(default_factory=list)
    pair: list[str] = field(default_factory=list)
    pretrained: str = ""

    @property
    def table(self) -> TableSpec:
        """Return what the table's columns and plots show."""
        return TableSpec(self.baseline, self.paper_table, self.columns, self.plots)


@dataclass
class Config:
    """All that `python -m mvcgc.run` can be told.

    ``root`` is the folder of runs, manifests and MLflow's store; ``results`` that of the written tables;
    ``name`` names the row of a single run, by default after its method. What is declared ``Any`` is a part
    (`mvcgc.config.slots`): its class decides which keys it has.
    """

    dataset: Any = field(default_factory=dict)
    clip: ClipConfig = field(default_factory=ClipConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    augment: Any = field(default_factory=dict)
    views: dict[str, Any] = field(default_factory=dict)
    backbone: Any = field(default_factory=dict)
    method: Any = field(default_factory=dict)
    init: InitConfig = field(default_factory=InitConfig)
    cross: OptimConfig = field(default_factory=OptimConfig)
    downstream: DownstreamKeys = field(default_factory=DownstreamKeys)
    seed: int = 0
    resources: dict[str, Runtime] = field(default_factory=dict)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    root: str = "runs"
    results: str = "results"
    name: str = ""

    @property
    def experiment(self) -> Experiment:
        """The part that decides the figures. Raises UserError where its components do not go together."""
        names = [part.name for part in dataclasses.fields(Experiment)]
        own = {name: getattr(self, name) for name in names if name != "modalities"}
        return Experiment(**{**own, "views": list(self.views), "modalities": self.views})
