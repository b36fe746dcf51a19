"""Metrics of a step, by hand."""

import torch

from mvcgc.method.base import Term
from mvcgc.method.mining import Ids, relate
from mvcgc.method.step_metrics import step_metrics


def test_metrics_by_hand() -> None:
    no, yes = False, True
    term = Term(
        view="rgb",
        logits=torch.tensor([[2.0, 3.0, 1.0, 0.0], [2.0, 1.0, 5.0, 0.0]]),
        positives=torch.tensor([[yes, yes, yes, no], [yes, no, no, yes]]),
        candidates=torch.tensor([[yes, yes, yes, yes], [yes, yes, no, yes]]),
    )
    samples = Ids(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([7, 8]))
    entries = Ids(torch.tensor([2, 3, 4]), torch.tensor([2, 3, 4]), torch.tensor([7, 8, -1]))
    means = {name: value.item() for name, value in step_metrics([term], relate(samples, entries)).items()}
    # The first sample's own pair loses to entry 0, the second's only to a key that is no candidate.
    # The first mines entries 0 (right) and 1 (wrong), the second entry 2 (unknown).
    assert means == {"acc_rgb": 0.5, "mined": 1.5, "mined_labelled": 1.0, "mined_right": 0.5}
