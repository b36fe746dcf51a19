"""Noise contrastive estimation with any number of positives (paper, eq. 1 and 4)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def nce_logits(
    query: Float[Tensor, "B dim"], own: Float[Tensor, "B dim"], queue: Float[Tensor, "K dim"], tau: float
) -> Float[Tensor, "B 1+K"]:
    """Similarities over the temperature ``tau``: column 0 is the own pair, the others are the queue, in its
    order.

    Half-precision inputs are scored in float32 and autocast is off: at tau = 0.07 a bfloat16 logit of 14 is
    good to 0.06 only.
    """
    with torch.autocast(query.device.type, enabled=False):
        query, own, queue = _widened(query), _widened(own), _widened(queue)
        pair = (query * own).sum(dim=1, keepdim=True)
        return torch.cat([pair, query @ queue.T], dim=1) / tau


def multi_nce(
    logits: Float[Tensor, "B M"], positives: Bool[Tensor, "B M"], candidates: Bool[Tensor, "B M"]
) -> Float[Tensor, " B"]:
    """``-log(sum over positives of e^logit / sum over candidates of e^logit)`` of every sample.

    ``positives`` must be among ``candidates``, and every sample must have one; what is no candidate (empty
    queue entries, keys of the same video) takes no part. With a single positive it is InfoNCE; where all
    candidates are positive it is 0.
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = _widened(logits)
        over_positives = logits.masked_fill(~positives, -torch.inf).logsumexp(dim=1)
        over_candidates = logits.masked_fill(~candidates, -torch.inf).logsumexp(dim=1)
        return over_candidates - over_positives


def mean_nce(
    logits: Float[Tensor, "B M"], positives: Bool[Tensor, "B M"], candidates: Bool[Tensor, "B M"]
) -> Float[Tensor, " B"]:
    """``-mean over positives of log(e^logit / sum over candidates of e^logit)`` of every sample (UberNCE).

    Unlike `multi_nce` it is not met by one strong positive among weak ones. Requirements are the same.
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = _widened(logits)
        over_candidates = logits.masked_fill(~candidates, -torch.inf).logsumexp(dim=1)
        mean_positive = logits.masked_fill(~positives, 0.0).sum(dim=1) / positives.sum(dim=1)
        return over_candidates - mean_positive


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.itemsize < 4 else tensor
