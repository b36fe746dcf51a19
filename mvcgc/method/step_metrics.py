"""Metrics of a training step, watched by no one but the reader of the curves."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mvcgc.method.base import Term
from mvcgc.method.mining import Relations


@torch.no_grad()
def step_metrics(terms: Sequence[Term], relations: Relations) -> dict[str, Float[Tensor, ""]]:
    """Means over the samples, to be averaged over steps and ranks.

    acc_<view>: the own pair is the best-scored candidate; mined: positives from the queue per sample;
    mined_labelled and mined_right: those of them with known labels, and with the right one. Labels are only
    watched.
    """
    metrics = {}
    for term in terms:
        others = term.logits.masked_fill(~term.candidates, -torch.inf)[:, 1:]
        # Strictly better: where embeddings have collapsed all are equal, and nothing has been told apart.
        metrics[f"acc_{term.view}"] = (term.logits[:, 0] > others.amax(dim=1)).float().mean()
    found = [term.positives[:, 1:] for term in terms]
    for name, among in (
        ("mined", torch.ones_like(relations.labelled)),
        ("mined_labelled", relations.labelled),
        ("mined_right", relations.same_class),
    ):
        metrics[name] = torch.stack(
            [(positives & among).sum(dim=1).float().mean() for positives in found]
        ).mean()
    return metrics
