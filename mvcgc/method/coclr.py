"""CoCLR (Han et al., NeurIPS 2020): one view learns at a time, the other one chooses its positives."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from mvcgc.errors import UserError
from mvcgc.method.base import Embeddings, Method, MethodConfig, Term
from mvcgc.method.mining import top_k
from mvcgc.method.mvcgc import check_k

OWN_PAIR = 0.1
"""Share of the steps in which the own pair is a positive: after InfoNCE its similarity is high already
(CoCLR, main_coclr.py)."""


class CoCLR(Method):
    """Score each view against its own keys; positives are the keys nearest in the other, frozen view.

    As in CoCLR's main_coclr.py: keys of the same source count as positives, too; in 90 % of the steps the own
    pair does not, where a sample has others; the search is by the other view's key clip; no step is taken
    until the queue is full; each turn starts from the full learning rate.
    """

    version = 2
    views = 2
    mines = True
    leaves_parameters_out = True
    waits_for_queue = True

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
        """Return the keys nearest to the other view's key clip, and those of the same source."""
        near = top_k(step.key_similarity(step.other(view)), self.config.k, step.relations.minable)
        return near | step.relations.sibling

    def term(self, view: str, step: Embeddings) -> Term:
        """Return the term, in most steps without the own pair among the positives."""
        term = super().term(view, step)
        if step.chance >= OWN_PAIR:
            term.positives[:, 0] = ~term.positives[:, 1:].any(dim=1)
        return term
