"""Relations between samples and the queue's keys, and the search for the nearest keys."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass
class Ids:
    """Who N samples or queue entries are, int64 each.

    video is -1 for an empty queue entry; group (videos cut from one source) and label are -1 where unknown.
    """

    video: Int[Tensor, " N"]
    group: Int[Tensor, " N"]
    label: Int[Tensor, " N"]

    def __post_init__(self) -> None:
        assert self.video.shape == self.group.shape == self.label.shape


@dataclass
class Relations:
    """What B samples have to do with K queue entries, by their ids alone.

    filled: the entry holds a key; sibling: it shows the same video, or one of the same group (UCF101 cuts
    several videos from one source); same_class: both labels are known and equal; labelled: both are known.
    All but ``filled`` are False where the entry is empty.
    """

    filled: Bool[Tensor, " K"]
    sibling: Bool[Tensor, "B K"]
    same_class: Bool[Tensor, "B K"]
    labelled: Bool[Tensor, "B K"]

    def __post_init__(self) -> None:
        assert self.sibling.shape == self.same_class.shape == self.labelled.shape
        assert self.filled.shape == self.sibling.shape[1:]

    @property
    def eligible(self) -> Bool[Tensor, "B K"]:
        """Keys that can be a negative or be mined: not empty, not a sibling."""
        return self.filled & ~self.sibling

    @property
    def minable(self) -> Bool[Tensor, "B K"]:
        """Keys among which to mine: none until the whole queue holds keys, then the eligible ones."""
        return self.eligible & self.filled.all()


def relate(samples: Ids, entries: Ids) -> Relations:
    """Compare the ids of B samples with those of K queue entries; negative ids match nothing."""
    filled = entries.video >= 0
    labelled = (samples.label >= 0)[:, None] & (entries.label >= 0) & filled
    return Relations(
        filled=filled,
        sibling=(_match(samples.video, entries.video) | _match(samples.group, entries.group)) & filled,
        same_class=(samples.label[:, None] == entries.label) & labelled,
        labelled=labelled,
    )


def _match(ids: Tensor, entry_ids: Tensor) -> Tensor:
    return (ids[:, None] == entry_ids) & (entry_ids >= 0)


@torch.no_grad()
def top_k(similarity: Float[Tensor, "B K"], k: int, eligible: Bool[Tensor, "B K"]) -> Bool[Tensor, "B K"]:
    """The ``k`` most similar eligible keys of every sample; all eligible ones where there are fewer.

    Of equal similarities the earlier entry wins (a stable sort, as ``torch.topk`` leaves ties to the device).
    """
    ranked = similarity.masked_fill(~eligible, -torch.inf).sort(dim=1, descending=True, stable=True)
    nearest = torch.zeros_like(eligible).scatter_(1, ranked.indices[:, :k], True)
    return nearest & eligible
