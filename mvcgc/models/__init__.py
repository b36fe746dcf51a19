"""Networks: backbones, the projection head and the classifier."""

from mvcgc.models.backbone import Backbone, BackboneConfig, build_backbone
from mvcgc.models.encoder import Encoder, pool_map

__all__ = [
    "Backbone",
    "BackboneConfig",
    "Encoder",
    "build_backbone",
    "pool_map",
]
