"""Own metric: the mean over classes of their accuracy, for classes of unequal size."""

import torch
from torch import Tensor

from mvcgc.stages.evaluate.metric import Metric


class BalancedAccuracy(Metric):
    """Mean recall over the classes that occur, in percent."""

    version = 1

    def __call__(self, scores: Tensor, labels: Tensor) -> float:
        """Return the metric of class probabilities [V, classes] and classes [V]."""
        hits = (scores.argmax(dim=1) == labels).double()
        recalls = [hits[labels == label].mean() for label in labels.unique()]
        return 100 * torch.stack(recalls).mean().item()
