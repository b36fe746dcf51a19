"""Networks, momentum twins, queues and the objective that ties them together."""

from mvcgc.models.backbone import MIN_FRAMES, MIN_SIDE, Arch, Backbone, BackboneConfig, build_backbone
from mvcgc.models.contrast import ContrastModel, MomentumPair
from mvcgc.models.encoder import Encoder, pool_map
from mvcgc.models.objective import Term, objective, step_metrics
from mvcgc.models.queue import KeyQueue
from mvcgc.models.shuffle import Shuffle

__all__ = [
    "MIN_FRAMES",
    "MIN_SIDE",
    "Arch",
    "Backbone",
    "BackboneConfig",
    "ContrastModel",
    "Encoder",
    "KeyQueue",
    "MomentumPair",
    "Shuffle",
    "Term",
    "build_backbone",
    "objective",
    "pool_map",
    "step_metrics",
]
