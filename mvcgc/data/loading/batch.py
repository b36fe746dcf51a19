"""The carrier between the loader and the networks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from mvcgc.data.clips.item import Sample, Unread
from mvcgc.data.clips.modalities import ViewArrays
from mvcgc.data.clips.sampling import COLUMNS


@dataclass(frozen=True)
class Batch:
    """Clips as read, before augmentation.

    Attributes:
        views: rgb uint8 [B, N, 3, T, S, S], the planes of `mvcgc.video.colour`, already cropped and resized;
            mv and flows float16 [B, N, T, s, s, 2] in pixels of the s x s picture per frame.
        draws: float32 [B, N, P], the parameters named by `sampling.COLUMNS`; stays on the host.
        video, group, label: int64 [B]; ids within the manifest, label -1 if unknown.
        names: B paths within the dataset.
        matrix: int64 [B], the `Matrix` from ``rgb`` to RGB; stays on the host.
    """

    views: dict[str, Tensor]
    draws: Float32[Tensor, "B N P"]
    video: Int64[Tensor, " B"]
    group: Int64[Tensor, " B"]
    label: Int64[Tensor, " B"]
    names: list[str]
    matrix: Int64[Tensor, " B"]

    def __post_init__(self) -> None:
        head = self.draws.shape[:2]
        assert self.draws.shape[2] == len(COLUMNS), f"draws have {self.draws.shape[2]} columns"
        for view, tensor in self.views.items():
            assert tensor.ndim == 6, f"{view} is {tuple(tensor.shape)}, not [B, N, ...] of clips"
            assert tensor.shape[:2] == head, f"{view} is {tuple(tensor.shape)}, draws are {tuple(head)}"
        for ids in (self.video, self.group, self.label, self.names, self.matrix):
            assert len(ids) == head[0], f"{len(ids)} ids for {head[0]} samples"

    def __len__(self) -> int:
        return len(self.names)

    @property
    def clips(self) -> int:
        """How many clips the batch holds, B x N."""
        return self.draws.shape[0] * self.draws.shape[1]

    def clip(self, number: int) -> "Batch":
        """Clip ``number`` of every sample, N = 1; nothing is copied."""
        only = slice(number, number + 1)
        views = {view: tensor[:, only] for view, tensor in self.views.items()}
        return replace(self, views=views, draws=self.draws[:, only])

    def to(self, device: torch.device) -> "Batch":
        """The batch with views and ids on ``device``; does not wait for copies from pinned memory.

        To a GPU they go beside what it computes meanwhile.
        """
        if device.type != "cuda":
            return self._moved(device)
        beside, now = _copies(device), torch.cuda.current_stream(device)
        with torch.cuda.stream(beside):
            moved = self._moved(device)
        now.wait_stream(beside)
        for tensor in (*moved.views.values(), moved.video, moved.group, moved.label):
            tensor.record_stream(now)  # else its memory could be given away while it is still read
        return moved

    def _moved(self, device: torch.device) -> "Batch":
        return replace(
            self,
            views={view: tensor.to(device, non_blocking=True) for view, tensor in self.views.items()},
            **{
                name: getattr(self, name).to(device, non_blocking=True)
                for name in ("video", "group", "label")
            },
        )

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory."""
        return replace(
            self,
            views={view: tensor.pin_memory() for view, tensor in self.views.items()},
            draws=self.draws.pin_memory(),
            **{name: getattr(self, name).pin_memory() for name in ("video", "group", "label")},
        )


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
