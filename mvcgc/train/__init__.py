"""Training: one loop for every stage that trains, and what it stands on."""

from mvcgc.train.checkpoint import CheckpointDamaged, Checkpoints
from mvcgc.train.failure import NotFinite
from mvcgc.train.loop import fit, total_steps
from mvcgc.train.optim import Amp, OptimConfig, OptimKind, ScheduleKind
from mvcgc.train.session import NoJournal, Session
from mvcgc.train.signals import Interrupted, StopFlag
from mvcgc.train.task import Loader, Task, Validated

__all__ = [
    "Amp",
    "CheckpointDamaged",
    "Checkpoints",
    "Interrupted",
    "Loader",
    "NoJournal",
    "NotFinite",
    "OptimConfig",
    "OptimKind",
    "ScheduleKind",
    "Session",
    "StopFlag",
    "Task",
    "Validated",
    "fit",
    "total_steps",
]
