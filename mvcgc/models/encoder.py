"""Backbone and projection head: from a clip to a point on the unit sphere."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mvcgc.models.backbone import Backbone


class Encoder(nn.Module):
    """A backbone with the projection head of pre-training (CoCLR).

    The head's 1x1 convolutions act on the pooled feature, so they are linear layers: D - D, ReLU, D - dim,
    where D is ``backbone.dim``.
    """

    def __init__(self, backbone: Backbone, dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(
            nn.Linear(backbone.dim, backbone.dim), nn.ReLU(inplace=True), nn.Linear(backbone.dim, dim)
        )

    def features(self, clip: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D"]:
        """Globally averaged features of the backbone, float32 or wider: what is evaluated downstream."""
        pooled: Tensor = pool_map(self.backbone(clip))
        return pooled

    def forward(self, clip: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B dim"]:
        """l2-normalised embeddings, float32 or wider also under autocast, for the cosine's sake."""
        projected: Tensor = self.head(self.features(clip))
        return functional.normalize(widened(projected), dim=1)


def pool_map(feature_map: Float[Tensor, "B D t h w"]) -> Float[Tensor, "B D"]:
    """Global average over time and space, in float32 or wider."""
    return widened(feature_map).mean(dim=(2, 3, 4))


def widened(tensor: Tensor) -> Tensor:
    """``tensor`` in float32 where it is a half-precision one, else unchanged."""
    return tensor.float() if tensor.itemsize < 4 else tensor
