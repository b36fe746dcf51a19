"""The model of pre-training: per view a query encoder with its momentum twin, and the aligned queues."""

import copy
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mvcgc.method.base import MethodConfig
from mvcgc.method.queue import KeyQueue
from mvcgc.models.backbone import BackboneConfig, build_backbone
from mvcgc.models.encoder import Encoder


class MomentumPair(nn.Module):
    """The query encoder of one view and its key encoder, whose weights follow slowly and get no gradient."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.query = encoder
        self.key = copy.deepcopy(encoder).requires_grad_(False)

    @torch.no_grad()
    def update(self, momentum: float) -> None:
        """key = momentum * key + (1 - momentum) * query; batch-norm statistics are the key encoder's own."""
        keys: list[Tensor] = list(self.key.parameters())
        queries: list[Tensor] = list(self.query.parameters())
        torch._foreach_lerp_(keys, queries, 1.0 - momentum)

    def synchronise(self) -> None:
        """Make the key encoder a copy of the query encoder, statistics included."""
        self.key.load_state_dict(self.query.state_dict())

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Start both encoders from the state of an ``Encoder``, such as an earlier stage's query encoder."""
        self.query.load_state_dict(state)
        self.synchronise()

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Start both encoders from the state of a backbone; their head stays random."""
        self.query.backbone.load_state_dict(state)
        self.synchronise()


class ContrastModel(nn.Module):
    """All that a pre-training stage saves: one ``MomentumPair`` per view and the queue of their keys.

    ``views`` maps each view to its number of channels; one view initialises it alone, two guide each other.
    Only ``forward`` takes part in the gradient, so this is the module to wrap in DDP. Views that are not
    ``trained`` are frozen: no gradient, and batch norm with running statistics.
    """

    def __init__(self, views: Mapping[str, int], backbone: BackboneConfig, method: MethodConfig) -> None:
        super().__init__()
        self.pairs = nn.ModuleDict(
            {
                view: MomentumPair(Encoder(build_backbone(backbone, channels), method.dim))
                for view, channels in views.items()
            }
        )
        self.queue = KeyQueue(tuple(views), method.queue, method.dim)
        self.momentum = method.momentum

    def pair(self, view: str) -> MomentumPair:
        """The encoders of one view."""
        pair = self.pairs[view]
        assert isinstance(pair, MomentumPair)
        return pair

    def forward(
        self, clips: Mapping[str, Float[Tensor, "B _C T _H _W"]], trained: Sequence[str]
    ) -> dict[str, Float[Tensor, "B dim"]]:
        """Queries of clip A of every view, l2-normalised."""
        return {
            view: _embed(self.pair(view).query, clip, learns=view in trained) for view, clip in clips.items()
        }

    @torch.no_grad()
    def keys(
        self, clips: Mapping[str, Float[Tensor, "B _C T _H _W"]], trained: Sequence[str]
    ) -> dict[str, Float[Tensor, "B dim"]]:
        """Keys of clip B of every view, l2-normalised; give clips that are shuffled across ranks."""
        return {
            view: _embed(self.pair(view).key, clip, learns=view in trained) for view, clip in clips.items()
        }

    def update_keys(self, trained: Sequence[str]) -> None:
        """Let the key encoders of the trained views follow their query encoders by one step."""
        for view in trained:
            self.pair(view).update(self.momentum)

    def start_turn(self) -> None:
        """Prepare for other trained views: key encoders catch up, the queue forgets their old keys."""
        for view in self.queue.views:
            self.pair(view).synchronise()
        self.queue.clear()


def _embed(encoder: Encoder, clip: Tensor, learns: bool) -> Tensor:
    # Set here and not once: the training loop's model.train() would thaw a frozen encoder's batch norm.
    encoder.train(learns)
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        embedding: Tensor = encoder(clip)
    return embedding
