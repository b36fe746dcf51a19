"""Base of methods of pre-training: which keys are positives, which logits, which loss, which encoders learn.

A method of one's own derives from `Method` and overrides what differs; the built-in ones do the same.
"""

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mvcgc.errors import UserError
from mvcgc.method.mining import Relations
from mvcgc.method.nce import multi_nce, nce_logits
from mvcgc.parts import Part, PartConfig


@dataclass
class MethodConfig(PartConfig):
    """Settings that every method has.

    Attributes:
        tau: temperature of the softmax.
        queue: number of keys K.
        momentum: m of the key encoders.
        dim: length of the embedding.
        init: whether stage 2 starts from the initialised encoders or from random weights.
    """

    part: ClassVar[type["Method"]]
    tau: float = 0.07
    queue: int = 2048
    momentum: float = 0.999
    dim: int = 128
    init: bool = True

    def __post_init__(self) -> None:
        for key in ("queue", "dim"):
            if getattr(self, key) < 1:
                raise UserError(f"method.{key}={getattr(self, key)}: give a number of at least 1")
        if not self.tau > 0.0:
            raise UserError(f"method.tau={self.tau}: give a temperature above 0, such as 0.07")
        if not 0.0 <= self.momentum < 1.0:
            raise UserError(
                f"method.momentum={self.momentum}: give a number from 0 up to, but not including, 1"
            )


@dataclass
class Embeddings:
    """All that a step's objective is made of.

    Attributes:
        queries: by view, of clip A, l2-normalised; with gradient where the view's encoder learns.
        keys: by view, of clip B of the same videos, l2-normalised, without gradient.
        queue: by view, the keys of earlier steps.
        relations: what the samples have to do with the queue's entries.
        chance: a number from [0, 1) drawn for this step, the same on all ranks and in a resumed run.
    """

    queries: Mapping[str, Float[Tensor, "B dim"]]
    keys: Mapping[str, Float[Tensor, "B dim"]]
    queue: Mapping[str, Float[Tensor, "K dim"]]
    relations: Relations
    chance: float = 0.0
    _similarity: dict[str, Float[Tensor, "B K"]] = field(default_factory=dict, init=False)

    @property
    def views(self) -> tuple[str, ...]:
        """The views, in their order."""
        return tuple(self.queries)

    def other(self, view: str) -> str:
        """Return the one of two views that is not ``view``."""
        return other_view(view, self.views)

    @torch.no_grad()
    def similarity(self, view: str) -> Float[Tensor, "B K"]:
        """Return the similarity within ``view`` of its queries to its queue, by which keys are mined.

        Computed without autocast, which would round the similarities that are to be ranked.
        """
        if view not in self._similarity:
            self._similarity[view] = _similarity(self.queries[view], self.queue[view])
        return self._similarity[view]

    @torch.no_grad()
    def key_similarity(self, view: str) -> Float[Tensor, "B K"]:
        """Return the similarity within ``view`` of its keys to its queue."""
        return _similarity(self.keys[view], self.queue[view])


def _similarity(clips: Float[Tensor, "B dim"], queue: Float[Tensor, "K dim"]) -> Float[Tensor, "B K"]:
    with torch.autocast(clips.device.type, enabled=False):
        return clips.to(queue) @ queue.T


@dataclass
class Term:
    """The part of the loss that trains the encoder of ``view``.

    Column 0 is the own pair; column 1 + q is queue entry q. Columns outside ``candidates`` take no part,
    candidates outside ``positives`` are negatives.
    """

    view: str
    logits: Float[Tensor, "B M"]
    positives: Bool[Tensor, "B M"]
    candidates: Bool[Tensor, "B M"]

    def __post_init__(self) -> None:
        assert self.logits.shape == self.positives.shape == self.candidates.shape


class Method(Part, ABC):
    """A way to pre-train; the defaults are those of InfoNCE, continued in stage 2.

    Attributes:
        name: in tables; by default the class's name.
        has_init: whether there is a stage 1, which initialises each view alone.
        has_cross: whether there is a stage 2, which this method's objective trains.
        views: number of views that the objective compares; None for any.
        supervised: whether it needs labels.
        mines: whether it finds positives among the queue's keys, once the queue is full.
        untrained: whether its encoders have random weights, in place of all training.
        leaves_parameters_out: whether some encoders do not learn in some epochs.
        waits_for_queue: whether no step is taken until the queue is full.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    name: ClassVar[str] = ""
    has_init: ClassVar[bool] = True
    has_cross: ClassVar[bool] = True
    views: ClassVar[int | None] = None
    supervised: ClassVar[bool] = False
    mines: ClassVar[bool] = False
    untrained: ClassVar[bool] = False
    leaves_parameters_out: ClassVar[bool] = False
    waits_for_queue: ClassVar[bool] = False

    def __init__(self, config: MethodConfig) -> None:
        self.config = config

    @property
    def title(self) -> str:
        """Return what a row of this method is called where it has no name of its own."""
        name = self.name or type(self).__name__
        return name if self.config.init or not self.has_cross else f"{name} (w/o init)"

    @classmethod
    def check(cls, config: MethodConfig, views: Sequence[str], epochs: int) -> None:
        """Raise UserError if stage 2 cannot train these views in so many epochs."""
        if not cls.has_cross:
            raise UserError(f"method={cls.label}: has no second stage to train")
        if cls.views is not None and len(views) != cls.views:
            raise UserError(
                f"method={cls.label} compares {cls.views} views, views=[{','.join(views)}] has {len(views)}"
            )

    def trained(self, views: tuple[str, ...], epoch: int, epochs: int) -> tuple[str, ...]:
        """Return the views whose encoders learn in ``epoch`` (from 0) of ``epochs``; all by default."""
        return views

    def target(self, view: str, views: tuple[str, ...]) -> str:
        """Return the view whose keys the queries of ``view`` are scored against; its own by default."""
        return view

    def positives(self, view: str, step: Embeddings) -> Bool[Tensor, "B K"]:
        """Return the positives among the queue's entries for the queries of ``view``; none by default."""
        return torch.zeros_like(step.relations.sibling)

    def logits(self, view: str, step: Embeddings) -> Float[Tensor, "B M"]:
        """Return the scores of the own pair (column 0) and of the queue's entries, M = 1 + K."""
        target = self.target(view, step.views)
        return nce_logits(step.queries[view], step.keys[target], step.queue[target], self.config.tau)

    def term(self, view: str, step: Embeddings) -> Term:
        """Return the logits of ``view`` and which of them are positives and candidates."""
        found = self.positives(view, step)
        own = torch.ones_like(found[:, :1])
        return Term(
            view=view,
            logits=self.logits(view, step),
            positives=torch.cat([own, found], dim=1),
            # A supervised positive may be a sibling; a mined one never is.
            candidates=torch.cat([own, step.relations.eligible | found], dim=1),
        )

    def loss(self, term: Term) -> Float[Tensor, " B"]:
        """Return each sample's loss: multi-instance InfoNCE by default (paper, eq. 4)."""
        return multi_nce(term.logits, term.positives, term.candidates)


def other_view(view: str, views: tuple[str, ...]) -> str:
    """Return the one of two ``views`` that is not ``view``."""
    assert len(views) == 2, f"two views expected, got {views}"
    return views[1] if view == views[0] else views[0]
