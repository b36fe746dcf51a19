"""UberNCE: supervised, CoCLR's upper bound (CoCLR, model/pretrain.py)."""

from jaxtyping import Bool, Float
from torch import Tensor

from mvcgc.method.base import Embeddings, Method, Term
from mvcgc.method.nce import mean_nce


class UberNCE(Method):
    """Score each view against its own keys; positives are all keys of the same class."""

    version = 2
    label = "uber"
    name = "UberNCE (supervised)"
    supervised = True

    def positives(self, view: str, step: Embeddings) -> Bool[Tensor, "B K"]:
        """Return the keys of the same class."""
        return step.relations.same_class

    def loss(self, term: Term) -> Float[Tensor, " B"]:
        """Return the mean over positives of the log-softmax, the own pair among them."""
        return mean_nce(term.logits, term.positives, term.candidates)
