"""Means of figures over an interval of steps and over the ranks."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mvcgc import dist
from mvcgc.train.arrival import Arrival


class Meter:
    """Running means of named figures; all ranks add the same names.

    The sum of a figure lives where its values are computed: plain numbers on the host, tensors on their
    device. A sum from a checkpoint moves there with the first value, so adding never waits for the device.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, figures: Mapping[str, Tensor | float]) -> None:
        """Count one step's figures.

        A scalar counts once, and not at all if it is NaN: it was not defined for that step. A pair [sum,
        weight] is for the mean of something else than steps, and counts by its weight.
        """
        for name, figure in figures.items():
            value = torch.as_tensor(figure, dtype=torch.float64).detach()
            if value.dim() == 0:
                value = torch.stack([value.nan_to_num(nan=0.0), (~value.isnan()).double()])
            self._sums[name] = _sum(self._sums[name], value) if name in self._sums else value

    def totals(self) -> dict[str, Tensor]:
        """Sum and count of each figure over all ranks, float64 [2] on the CPU. All ranks call it."""
        if not self._sums:
            return {}
        names, sums = sorted(self._sums), Arrival(self._sums).values()
        local = torch.stack([sums[name] for name in names])
        return dict(zip(names, dist.all_reduce_sum(local), strict=True))

    def means(self) -> dict[str, float]:
        """The mean of each figure over all ranks, NaN where it was never defined. All ranks call it."""
        return {name: _ratio(*entry.tolist()) for name, entry in self.totals().items()}

    def reset(self) -> None:
        """Forget everything."""
        self._sums = {}

    def state_dict(self) -> dict[str, Tensor]:
        """This rank's sums and counts."""
        return Arrival(self._sums).values()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`."""
        self._sums = dict(state)


def _sum(known: Tensor, value: Tensor) -> Tensor:
    """``known + value``, on the accelerator if either is there."""
    device = value.device if known.device.type == "cpu" else known.device
    return known.to(device, non_blocking=True) + value.to(device, non_blocking=True)


def _ratio(total: float, count: float) -> float:
    return total / count if count else float("nan")
