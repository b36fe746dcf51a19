"""UberNCE: supervised, CoCLR's upper bound."""

from jaxtyping import Bool
from torch import Tensor

from mvcgc.method.base import Embeddings, Method


class UberNCE(Method):
    """Score each view against its own keys; positives are all keys of the same class."""

    version = 1
    label = "uber"
    supervised = True

    def positives(self, view: str, step: Embeddings) -> Bool[Tensor, "B K"]:
        """Return the keys of the same class."""
        return step.relations.same_class
