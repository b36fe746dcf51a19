"""The carrier between the loader and the networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from mvcgc.data.clips.item import Sample, Unread
from mvcgc.data.clips.reading import ViewArrays

HOST = {"host": True}
"""Metadata of a field that stays on the host when its batch moves to a device."""


@dataclass(frozen=True)
class Batch:
    """Clips as read, before augmentation. Every field but ``names`` is a tensor, or tensors by view, of one
    row per sample; its methods take all of them along.

    Attributes:
        views: rgb uint8 [B, N, 3, T, S, S], the planes of `mvcgc.video.colour`, already cropped and resized;
            mv and flows float16 [B, N, T, s, s, 2] in pixels of the s x s picture per frame; of other
            modalities as they store them.
        draws: float32 [B, N, P], `Draw.row` of each clip; stays on the host.
        video, group, label: int64 [B]; ids within the manifest, label -1 if unknown.
        names: B paths within the dataset; none after `rearranged`.
        matrix: int64 [B], the `Matrix` from ``rgb`` to RGB; stays on the host.
    """

    views: dict[str, Tensor]
    draws: Float32[Tensor, "B N P"] = field(metadata=HOST)
    video: Int64[Tensor, " B"]
    group: Int64[Tensor, " B"]
    label: Int64[Tensor, " B"]
    names: list[str]
    matrix: Int64[Tensor, " B"] = field(metadata=HOST)

    def __post_init__(self) -> None:
        head = self.draws.shape[:2]
        for view, tensor in self.views.items():
            assert tensor.ndim == 6, f"{view} is {tuple(tensor.shape)}, not [B, N, ...] of clips"
            assert tensor.shape[:2] == head, f"{view} is {tuple(tensor.shape)}, draws are {tuple(head)}"
        for name, tensor in self._tensors().items():
            assert len(tensor) == head[0], f"{len(tensor)} {name} for {head[0]} samples"
        assert len(self.names) in (0, head[0]), f"{len(self.names)} names for {head[0]} samples"

    def __len__(self) -> int:
        return len(self.draws)

    @property
    def clips(self) -> int:
        """How many clips the batch holds, B x N."""
        return self.draws.shape[0] * self.draws.shape[1]

    def clip(self, number: int) -> "Batch":
        """Clip ``number`` of every sample, N = 1; nothing is copied."""
        only = slice(number, number + 1)
        views = {view: tensor[:, only] for view, tensor in self.views.items()}
        return replace(self, views=views, draws=self.draws[:, only])

    def rearranged(self, change: Callable[[list[Tensor]], list[Tensor]]) -> "Batch":
        """The batch of other samples: ``change`` takes all tensors of one row per sample, and gives theirs.

        Paths are no tensors and do not travel: the new batch has no ``names``.
        """
        tensors = self._tensors()
        changed = dict(zip(tensors, change(list(tensors.values())), strict=True))
        return self._with(changed, names=[])

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``, but for what stays on the host; does not wait for copies from pinned
        memory.

        To a GPU they go beside what it computes meanwhile.
        """
        if device.type != "cuda":
            return self._moved(device)
        beside, now = _copies(device), torch.cuda.current_stream(device)
        with torch.cuda.stream(beside):
            moved = self._moved(device)
        now.wait_stream(beside)
        for tensor in moved._tensors(host=False).values():
            tensor.record_stream(now)  # else its memory could be given away while it is still read
        return moved

    def _moved(self, device: torch.device) -> "Batch":
        there = self._tensors(host=False)
        return self._with({name: tensor.to(device, non_blocking=True) for name, tensor in there.items()})

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory."""
        return self._with({name: tensor.pin_memory() for name, tensor in self._tensors().items()})

    def _tensors(self, host: bool = True) -> dict[str, Tensor]:
        """Every tensor, by field, and by field and view; ``host``: also those that stay on the host."""
        found: dict[str, Tensor] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "names" or (not host and one.metadata.get("host")):
                continue
            if isinstance(value, Tensor):
                found[one.name] = value
            else:
                assert isinstance(value, dict), f"{one.name} is neither a tensor nor tensors by view"
                found |= {f"{one.name}/{view}": tensor for view, tensor in value.items()}
        return found

    def _with(self, tensors: dict[str, Tensor], **changed: Any) -> "Batch":
        """The batch with some of its `_tensors` changed, and other fields."""
        for key, tensor in tensors.items():
            name, _, view = key.partition("/")
            changed[name] = {**changed.get(name, {}), view: tensor} if view else tensor
        return replace(self, **changed)


@cache
def _copies(device: torch.device) -> torch.cuda.Stream:
    """The stream of a GPU on which batches arrive."""
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def collate(found: Sequence[Sample | Unread], arrays: ViewArrays) -> Batch | list[Unread]:
    """The batch of samples whose clips lie in ``arrays``, in order; or what of it could not be read."""
    if unread := [one for one in found if isinstance(one, Unread)]:
        return unread
    samples = [one for one in found if isinstance(one, Sample)]
    rows = [len(sample.draws) for sample in samples]
    draws = np.concatenate([sample.draws for sample in samples])
    head = draws.shape[:2]

    def ids(values: list[int]) -> Int64[Tensor, " B"]:
        return torch.from_numpy(np.repeat(np.array(values, np.int64), rows))

    return Batch(
        views={
            view: torch.from_numpy(array.reshape(*head, *array.shape[1:])) for view, array in arrays.items()
        },
        draws=torch.from_numpy(draws),
        video=ids([sample.video for sample in samples]),
        group=ids([sample.group for sample in samples]),
        label=ids([sample.label for sample in samples]),
        names=[sample.name for sample, count in zip(samples, rows, strict=True) for _ in range(count)],
        matrix=ids([sample.matrix for sample in samples]),
    )
