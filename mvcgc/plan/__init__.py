"""Planning: rows in, a deduplicated graph of stages out, each with a verdict and its reason.

``row`` says what there is to compare, ``recipe`` which stages it takes, ``graph`` shares them among rows,
``verdict`` looks at what is finished already, ``why`` explains what is not, ``render`` shows it all,
and ``recording`` makes the record that `mvcgc.runs` keeps. Nothing here runs anything.
"""

from mvcgc.plan.dataset import Dataset, Need, dataset_needs, manifests_folder
from mvcgc.plan.graph import Graph, PlannedRow, Stage, build
from mvcgc.plan.recording import record_of
from mvcgc.plan.render import Totals, clip_epochs, pretraining_network_epochs, renderable, text, totals
from mvcgc.plan.row import DEFAULT, Resources, Row, runtime_of
from mvcgc.plan.speed import Speeds
from mvcgc.plan.verdict import Action, Verdict, headline, judge
from mvcgc.plan.why import Difference, Explanation, why
from mvcgc.runs import active_sweeps
from mvcgc.runs.plot_spec import PlotKind, PlotSpec
from mvcgc.runs.record import (
    Column,
    Origin,
    RowRecord,
    StageRecord,
    SweepRecord,
    TableSpec,
    list_records,
    read_record,
    records_folder,
    write_record,
)
from mvcgc.runs.state import StageState, State, newest_checkpoint, stage_state
from mvcgc.stages.experiment import DownstreamConfig, Experiment
from mvcgc.stages.kind import Cost

__all__ = [
    "DEFAULT",
    "Action",
    "Column",
    "Cost",
    "Dataset",
    "Difference",
    "DownstreamConfig",
    "Experiment",
    "Explanation",
    "Graph",
    "Need",
    "Origin",
    "PlannedRow",
    "PlotKind",
    "PlotSpec",
    "Resources",
    "Row",
    "RowRecord",
    "Speeds",
    "Stage",
    "StageRecord",
    "StageState",
    "State",
    "SweepRecord",
    "TableSpec",
    "Totals",
    "Verdict",
    "active_sweeps",
    "build",
    "clip_epochs",
    "dataset_needs",
    "headline",
    "judge",
    "list_records",
    "manifests_folder",
    "newest_checkpoint",
    "pretraining_network_epochs",
    "read_record",
    "record_of",
    "records_folder",
    "renderable",
    "runtime_of",
    "stage_state",
    "text",
    "totals",
    "why",
    "write_record",
]
