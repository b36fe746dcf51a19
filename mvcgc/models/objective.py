"""A training step's objective: from queries, keys and the queue to terms of the loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mvcgc.losses import multi_nce, nce_logits
from mvcgc.positives import MethodConfig, Relations, guided, other_view


@dataclass
class Term:
    """The part of the loss that trains the encoder of ``view``.

    Column 0 is the own pair, always a positive; column 1 + q is queue entry q. Columns outside ``candidates``
    take no part, candidates outside ``positives`` are negatives.
    """

    view: str
    logits: Float[Tensor, "B M"]
    positives: Bool[Tensor, "B M"]
    candidates: Bool[Tensor, "B M"]

    def __post_init__(self) -> None:
        assert self.logits.shape == self.positives.shape == self.candidates.shape

    def loss(self) -> Float[Tensor, ""]:
        """Mean of the samples' losses."""
        return multi_nce(self.logits, self.positives, self.candidates).mean()


def objective(
    method: MethodConfig,
    *,
    trained: Sequence[str],
    queries: Mapping[str, Float[Tensor, "B dim"]],
    keys: Mapping[str, Float[Tensor, "B dim"]],
    queue: Mapping[str, Float[Tensor, "K dim"]],
    relations: Relations,
) -> list[Term]:
    """One term per trained view; the loss of the step is their sum (paper, eq. 4 and the ablation's
    variants).

    ``queries`` (of clip A) and ``keys`` (of clip B of the same videos) are l2-normalised; ``queue`` holds the
    keys of earlier steps. Similarity within a view, by which positives are mined, is that of its queries to
    its queue.
    """
    views = tuple(queries)
    # Without autocast, which would round the similarities that are to be ranked.
    with torch.no_grad(), torch.autocast(queries[views[0]].device.type, enabled=False):
        similarity = {view: queries[view].to(queue[view]) @ queue[view].T for view in views}
    terms = []
    for view in trained:
        target = other_view(view, views) if method.variant.across else view
        found = guided(method, view, similarity, relations)
        own = torch.ones_like(found[:, :1])
        terms.append(
            Term(
                view=view,
                logits=nce_logits(queries[view], keys[target], queue[target], method.tau),
                positives=torch.cat([own, found], dim=1),
                # A supervised positive may be a sibling; a mined one never is.
                candidates=torch.cat([own, relations.eligible | found], dim=1),
            )
        )
    return terms


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
