"""Values on their way from a device to the host."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Arrival:
    """Copies of tensors for the host, which waits for them when it asks, and not before."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._event: torch.cuda.Event | None = None
        if any(tensor.device.type == "cuda" for tensor in tensors.values()):
            self._host = {name: _pinned(tensor) for name, tensor in tensors.items()}
            self._event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._event.record()
        else:
            self._host = {name: tensor.to("cpu", non_blocking=True) for name, tensor in tensors.items()}

    def values(self) -> dict[str, Tensor]:
        """The tensors on the CPU; waits until they are there, without keeping a core busy."""
        if self._event is not None:
            self._event.synchronize()
        return self._host


def _pinned(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
