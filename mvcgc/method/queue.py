"""The queues of keys, one per view, aligned."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mvcgc.method.mining import Ids

EMPTY = -1
"""Id in ``video`` of an entry that holds no key yet."""


class KeyQueue(nn.Module):
    """The last K keys of every view, first in, first out.

    Entry q of all views belongs to the same clip of the same video. Buffers, saved with the model: ``keys``
    [V, K, dim] float32; ``video``, ``group``, ``label`` [K] int64 (``video`` is EMPTY where nothing was
    written yet); ``cursor``, the entry that is overwritten next.
    """

    keys: Tensor
    video: Tensor
    group: Tensor
    label: Tensor
    cursor: Tensor

    def __init__(self, views: Sequence[str], size: int, dim: int) -> None:
        super().__init__()
        self.views = tuple(views)
        self.size = size
        self.register_buffer("keys", torch.zeros(len(self.views), size, dim))
        for name in ("video", "group", "label"):
            self.register_buffer(name, torch.full((size,), EMPTY, dtype=torch.int64))
        self.register_buffer("cursor", torch.zeros((), dtype=torch.int64))

    @property
    def ids(self) -> Ids:
        """Whose keys the entries hold; views of the buffers, which change with the next ``enqueue``."""
        return Ids(self.video, self.group, self.label)

    @property
    def full(self) -> Bool[Tensor, ""]:
        """Whether every entry holds a key; a tensor, so that asking does not wait for the device."""
        return (self.video != EMPTY).all()

    def entries(self) -> dict[str, Float[Tensor, "K dim"]]:
        """Every view's keys, without a copy: the next ``enqueue`` changes them.

        A loss of them must have been through its backward pass by then; autograd says so where it has not.
        """
        return dict(zip(self.views, self.keys, strict=True))

    @torch.no_grad()
    def enqueue(self, keys: Mapping[str, Float[Tensor, "G dim"]], ids: Ids) -> None:
        """Write a global batch of G keys per view over the oldest entries.

        Of a batch larger than K the last K stay. No video id may be negative. Every rank must call it with
        the same tensors.
        """
        incoming = torch.stack([keys[view] for view in self.views]).to(self.keys)
        batch = incoming.shape[1]
        kept = slice(max(0, batch - self.size), batch)
        places = (self.cursor + torch.arange(batch, device=self.cursor.device)[kept]) % self.size
        self.keys[:, places] = incoming[:, kept]
        self.video[places] = ids.video[kept]
        self.group[places] = ids.group[kept]
        self.label[places] = ids.label[kept]
        self.cursor.add_(batch).remainder_(self.size)

    @torch.no_grad()
    def clear(self) -> None:
        """Forget all keys."""
        self.keys.zero_()
        for ids in (self.video, self.group, self.label):
            ids.fill_(EMPTY)
        self.cursor.zero_()
