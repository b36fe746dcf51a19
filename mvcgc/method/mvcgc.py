"""MVCGC, the paper's method: two views agree on the positives and are scored against each other."""

from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Bool
from torch import Tensor

from mvcgc.errors import UserError
from mvcgc.method.base import Embeddings, Method, MethodConfig, other_view
from mvcgc.method.mining import top_k


class Mining(Enum):
    """How the nearest keys of two views become one set."""

    intersection = "intersection"
    union = "union"


class MVCGC(Method):
    """Score each view against the other's keys; positives are the keys that are near in both views."""

    version = 1
    views = 2
    mines = True

    @dataclass
    class Config(MethodConfig):
        """Settings of MVCGC.

        Attributes:
            k: nearest keys taken per view.
            mining: how the two views' nearest keys become one set.
        """

        k: int = 5
        mining: Mining = Mining.intersection

        def __post_init__(self) -> None:
            super().__post_init__()
            check_k(self.k)

    config: Config

    @property
    def title(self) -> str:
        """The method's name, with the union where that joins the views' nearest keys."""
        return super().title + (" (union)" if self.config.mining is Mining.union else "")

    def target(self, view: str, views: tuple[str, ...]) -> str:
        """Return the other view."""
        return other_view(view, views)

    @torch.no_grad()
    def positives(self, view: str, step: Embeddings) -> Bool[Tensor, "B K"]:
        """Return the keys that are among the k nearest in both views, or in either (paper, eq. 2-3)."""
        first, second = (
            top_k(step.similarity(one), self.config.k, step.relations.minable) for one in step.views
        )
        return first & second if self.config.mining is Mining.intersection else first | second


def check_k(k: int) -> None:
    """Raise UserError unless ``k`` nearest keys can be taken."""
    if k < 1:
        raise UserError(f"method.k={k}: give a number of at least 1")
