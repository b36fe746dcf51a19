"""What stands on a backbone downstream."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mvcgc.models.backbone import Backbone
from mvcgc.models.encoder import pool_map

_INIT_STD = 0.01


def _linear(dim: int, classes: int) -> nn.Linear:
    layer = nn.Linear(dim, classes)
    nn.init.normal_(layer.weight, std=_INIT_STD)
    nn.init.zeros_(layer.bias)
    return layer


class Probe(nn.Module):
    """The linear probe on the features of a frozen backbone: l2-norm, batch norm and one linear layer.

    Source: CoCLR, eval/main_classifier.py with ``--train_what last``.
    """

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)
        self.linear = _linear(dim, classes)

    def forward(self, features: Float[Tensor, "B D"]) -> Float[Tensor, "B classes"]:
        """Return logits."""
        return self.classify(functional.normalize(features, dim=1))

    def classify(self, normalised: Float[Tensor, "B D"]) -> Float[Tensor, "B classes"]:
        """Return logits of features that are divided by a length already."""
        logits: Tensor = self.linear(self.norm(normalised))
        return logits


class Classifier(nn.Module):
    """A backbone under a linear layer, all of it trained; ``dropout`` acts on the pooled features (CoCLR)."""

    def __init__(self, backbone: Backbone, classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.linear = _linear(backbone.dim, classes)

    def forward(self, clip: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B classes"]:
        """Logits."""
        features = pool_map(self.backbone(clip))
        # Classes that half precision could not tell apart are to be ranked.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.linear(self.dropout(features))
        return logits
