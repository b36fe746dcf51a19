"""CoCLR (Han et al., NeurIPS 2020): one view learns at a time, the other one chooses its positives."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from mvcgc.errors import UserError
from mvcgc.method.base import Embeddings, Method, MethodConfig
from mvcgc.method.mining import top_k
from mvcgc.method.mvcgc import check_k


class CoCLR(Method):
    """Score each view against its own keys; positives are the keys nearest in the other, frozen view."""

    version = 1
    views = 2
    mines = True
    leaves_parameters_out = True

    @dataclass
    class Config(MethodConfig):
        """Settings of CoCLR.

        Attributes:
            k: nearest keys taken in the other view.
            cycles: how often each view is trained in turn.
        """

        k: int = 5
        cycles: int = 1

        def __post_init__(self) -> None:
            super().__post_init__()
            check_k(self.k)
            if self.cycles < 1:
                raise UserError(f"method.cycles={self.cycles}: give a number of at least 1")

    config: Config

    @classmethod
    def check(cls, config: MethodConfig, views: Sequence[str], epochs: int) -> None:
        """Raise UserError unless there are two views, and an epoch at least for each turn."""
        super().check(config, views, epochs)
        assert isinstance(config, cls.Config)
        if epochs < 2 * config.cycles:
            raise UserError(
                f"optim.epochs={epochs} is too few for method.cycles={config.cycles}: coclr trains each "
                f"view in turn, which takes {2 * config.cycles} epochs at least"
            )

    def trained(self, views: tuple[str, ...], epoch: int, epochs: int) -> tuple[str, ...]:
        """Return the view whose turn it is: ``cycles`` times each, over equal parts of the epochs."""
        turns = self.config.cycles * len(views)
        return (views[epoch * turns // epochs % len(views)],)

    @torch.no_grad()
    def positives(self, view: str, step: Embeddings) -> Bool[Tensor, "B K"]:
        """Return the k nearest keys of the other view."""
        return top_k(step.similarity(step.other(view)), self.config.k, step.relations.minable)
