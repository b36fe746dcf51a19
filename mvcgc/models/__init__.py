"""Networks: backbones, the projection head and the classifier."""

from mvcgc.models.backbone import MIN_FRAMES, MIN_SIDE, Arch, Backbone, BackboneConfig, build_backbone
from mvcgc.models.encoder import Encoder, pool_map

__all__ = [
    "MIN_FRAMES",
    "MIN_SIDE",
    "Arch",
    "Backbone",
    "BackboneConfig",
    "Encoder",
    "build_backbone",
    "pool_map",
]
