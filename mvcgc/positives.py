"""Which keys of the queue are positives: how samples relate to keys, and the mining across views."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mvcgc.errors import UserError


class Variant(Enum):
    """What is compared with what, and what guides it (the loss ablation of the paper).

    ``init`` is no objective: it names the rows that stop after the initialisation, which trains each view
    alone with ``infonce``.
    """

    init = "init"
    infonce = "infonce"
    cmc = "cmc"
    coclr = "coclr"
    mvcgc = "mvcgc"
    uber = "uber"

    @property
    def across(self) -> bool:
        """Whether queries are scored against the keys of the other view instead of their own view's."""
        return self in (Variant.cmc, Variant.mvcgc)

    @property
    def needs_two_views(self) -> bool:
        """Whether the objective is undefined for one view alone."""
        return self in (Variant.cmc, Variant.coclr, Variant.mvcgc)


class Mining(Enum):
    """How the nearest keys of two views become one set."""

    intersection = "intersection"
    union = "union"


@dataclass
class MethodConfig:
    """The objective of pre-training.

    variant, mining: see there; k: nearest keys taken per view; tau: temperature; queue: number of keys K;
    momentum: m of the key encoders; dim: length of the embedding; init: whether stage 2 starts from the two
    initialised encoders or from random weights; cycles: how often ``coclr`` trains each view in turn.
    """

    variant: Variant = Variant.mvcgc
    mining: Mining = Mining.intersection
    k: int = 5
    tau: float = 0.07
    queue: int = 2048
    momentum: float = 0.999
    dim: int = 128
    init: bool = True
    cycles: int = 1

    def __post_init__(self) -> None:
        for key in ("k", "queue", "dim", "cycles"):
            if getattr(self, key) < 1:
                raise UserError(f"method.{key}={getattr(self, key)}: give a number of at least 1")
        if not self.tau > 0.0:
            raise UserError(f"method.tau={self.tau}: give a temperature above 0, such as 0.07")
        if not 0.0 <= self.momentum < 1.0:
            raise UserError(
                f"method.momentum={self.momentum}: give a number from 0 up to, but not including, 1"
            )


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


@torch.no_grad()
def mine(
    sim_a: Float[Tensor, "B K"],
    sim_b: Float[Tensor, "B K"],
    k: int,
    mining: Mining,
    eligible: Bool[Tensor, "B K"],
) -> Bool[Tensor, "B K"]:
    """The keys that are among the ``k`` nearest in view a and (or, for the union) in view b (paper, eq. 2-3).

    ``sim_a`` is the similarity within view a, of its queries to its queue, and ``sim_b`` that within view b.
    """
    in_a, in_b = top_k(sim_a, k, eligible), top_k(sim_b, k, eligible)
    return in_a & in_b if mining is Mining.intersection else in_a | in_b


@torch.no_grad()
def guided(
    method: MethodConfig, view: str, similarity: Mapping[str, Float[Tensor, "B K"]], relations: Relations
) -> Bool[Tensor, "B K"]:
    """The positives in the queue, beside its own pair, that ``method`` gives the queries of ``view``.

    ``similarity`` holds, for every view, its queries against its own queue.
    """
    match method.variant:
        case Variant.infonce | Variant.cmc:
            return torch.zeros_like(relations.sibling)
        case Variant.uber:
            return relations.same_class
        case Variant.coclr:
            return top_k(similarity[other_view(view, tuple(similarity))], method.k, relations.minable)
        case Variant.mvcgc:
            sim_a, sim_b = similarity.values()
            return mine(sim_a, sim_b, method.k, method.mining, relations.minable)
        case Variant.init:
            raise AssertionError("variant init has no second stage, so it has no objective")


def other_view(view: str, views: tuple[str, ...]) -> str:
    """The one of two ``views`` that is not ``view``."""
    assert len(views) == 2, f"two views expected, got {views}"
    return views[1] if view == views[0] else views[0]


def trained_views(method: MethodConfig, views: tuple[str, ...], epoch: int, epochs: int) -> tuple[str, ...]:
    """The views whose encoders learn in ``epoch`` (from 0) of ``epochs``.

    All of them, but for ``coclr``: there the views take turns, each ``cycles`` times, over equal parts of the
    epochs, the first view first; the others are frozen meanwhile.
    """
    if method.variant is not Variant.coclr:
        return views
    turns = method.cycles * len(views)
    return (views[epoch * turns // epochs % len(views)],)
