"""What the loop needs to know of a stage."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


class Task(nn.Module, ABC):
    """What a stage trains: a loss on a batch, and what happens between the steps.

    Its parameters that want a gradient are optimised; its whole state is in the checkpoints.
    """

    # Whether a step may leave out parameters that want a gradient, as a frozen view's are in CoCLR.
    leaves_parameters_out: bool = False
    # The epochs at which encoders change turns: each turn is a training of its own, from the full rate.
    turns: Sequence[int] = (0,)
    # Whether all ranks get the same batches instead of a share of each.
    same_batches: bool = False

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return parameters with the factor of their learning rate; all with 1 by default."""
        return [(list(self.parameters()), 1.0)]

    @abstractmethod
    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss over this rank's batch, and figures to report (see `mvcgc.train.meter.Meter.add`).

        In training it is called once per micro-batch and must not change what the next micro-batch of the
        same step sees; in evaluation mode it must not change anything.
        """

    @abstractmethod
    def start_epoch(self, epoch: int, position: int) -> None:
        """Called in training mode before the first step of an epoch, ``position`` 0, and when a resumed run
        goes on within it, ``position`` then being the epoch's completed steps.
        """

    @abstractmethod
    def finish_step(self) -> None:
        """Called after the optimiser's step: the place to change queues and momentum twins."""


@dataclass(frozen=True)
class Validated:
    """Metrics of the validation part, ``val_loss`` among them.

    ``counts`` is whether the loss says something of the training's course: under ``plateau`` an epoch that
    does not count changes nothing.
    """

    metrics: Mapping[str, float]
    counts: bool = True


@runtime_checkable
class Loader(Protocol):
    """Micro-batches of one rank, the same for every run of (epoch, position).

    A batch has ``.to(device)``, ``.names`` (its videos) and ``.clips`` (how many clips it holds).
    """

    def __len__(self) -> int:
        """Micro-batches per epoch."""

    def epoch(self, epoch: int, step: int) -> Iterator[Any]:
        """The micro-batches of ``epoch`` after ``step`` steps of the optimiser; draws no global random
        numbers.
        """
