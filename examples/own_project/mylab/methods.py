"""Own loss: hard negatives weigh more (Robinson et al., ICLR 2021)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mvcgc.method.base import Method, MethodConfig, Term


class HardNegatives(Method):
    """InfoNCE of each view alone, whose negatives are weighted by e^(beta * similarity)."""

    version = 1

    @dataclass
    class Config(MethodConfig):
        """Settings; ``beta`` is the concentration: 0 is InfoNCE."""

        beta: float = 1.0

    config: Config

    def loss(self, term: Term) -> Tensor:
        """Return each sample's loss, [B]."""
        negatives = term.candidates & ~term.positives
        hardness = self.config.beta * self.config.tau * term.logits.detach()
        weight = hardness.masked_fill(~negatives, -torch.inf).log_softmax(dim=1)
        count = negatives.sum(dim=1, keepdim=True).clamp(min=1).log()
        weighted = torch.where(negatives, term.logits + weight + count, term.logits)
        every = weighted.masked_fill(~term.candidates, -torch.inf).logsumexp(dim=1)
        return every - term.logits.masked_fill(~term.positives, -torch.inf).logsumexp(dim=1)
