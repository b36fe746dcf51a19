"""What is trained downstream: a classifier on cached features or on clips, as a task of the training loop."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from mvcgc.data.clips.sampling import permutation
from mvcgc.train import Task, Validated
from mvcgc.train.meter import Meter

Inputs = Callable[[Any], Tensor]
"""From a batch on its device to what the network takes."""


class Classify(Task):
    """Cross entropy of ``network``'s logits; batches have ``label`` [B].

    Args:
        network: gives the logits.
        inputs: what it takes of a batch; in evaluation mode ``test_inputs`` if there are such.
        backbone_lr: factor of the learning rate for a backbone within the network.
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Inputs,
        test_inputs: Inputs | None = None,
        backbone_lr: float = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self._inputs, self._test_inputs = inputs, test_inputs or inputs
        self._backbone_lr = backbone_lr

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the backbone's parameters, with a rate of their own, and the classifier's."""
        backbone = list(getattr(self.network, "backbone", nn.Module()).parameters())
        known = set(map(id, backbone))
        rest = [parameter for parameter in self.parameters() if id(parameter) not in known]
        return [(rest, 1.0), *([(backbone, self._backbone_lr)] if backbone else [])]

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss, and ``train_top1`` in per cent."""
        inputs = self._inputs if self.training else self._test_inputs
        logits = self.network(inputs(batch)).float()
        right = logits.argmax(dim=1) == batch.label
        return functional.cross_entropy(logits, batch.label), {"train_top1": 100.0 * right.float().mean()}

    def start_epoch(self, epoch: int, position: int) -> None:
        """Every epoch is alike."""

    def finish_step(self) -> None:
        """Nothing follows a step."""


def validation(task: Classify, batches: Iterable[Any], device: torch.device) -> Validated:
    """Return the mean loss over the samples of all ranks' ``batches``; all ranks call it."""
    meter = Meter()
    meter.add({"loss": torch.zeros(2, device=device)})  # a rank may have no batch at all
    for batch in batches:
        loss, _ = task(batch.to(device))
        count = len(batch.names)
        meter.add({"loss": torch.stack([loss * count, torch.full_like(loss, count)])})
    return Validated({"val_loss": meter.means()["loss"]})


@dataclass(frozen=True)
class FeatureBatch:
    """Features of one clip per video, as a batch of the training loop."""

    features: Float[Tensor, "B D"]
    label: Int64[Tensor, " B"]
    names: list[str]

    @property
    def clips(self) -> int:
        """How many clips it holds."""
        return len(self.names)

    def to(self, device: torch.device) -> "FeatureBatch":
        """The batch on ``device``."""
        return FeatureBatch(self.features.to(device), self.label.to(device), self.names)


class FeatureLoader:
    """Batches of cached features; epoch e shows clip e modulo the number of draws of every video.

    All ranks get the same whole batches: a linear layer is nothing to share out, and so it does not depend on
    their number. As with clips, what is left after the last whole batch is dropped.
    """

    def __init__(
        self,
        features: Float[Tensor, "V draws D"],
        label: Int64[Tensor, " V"],
        names: list[str],
        batch_size: int,
        seed: int,
    ) -> None:
        self._features, self._label, self._names = features, label, names
        self._batch_size, self._seed = batch_size, seed

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self._names) // self._batch_size

    def epoch(self, epoch: int, step: int) -> Iterator[FeatureBatch]:
        """The rest of ``epoch`` after ``step`` batches."""
        order = permutation(self._seed, epoch, len(self._names))
        draw = epoch % self._features.shape[1]
        for first in range(step * self._batch_size, len(self) * self._batch_size, self._batch_size):
            chosen = order[first : first + self._batch_size]
            yield FeatureBatch(
                self._features[chosen, draw], self._label[chosen], [self._names[i] for i in chosen]
            )
