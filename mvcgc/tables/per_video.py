"""What a stage's figure is the mean of: which test videos were hit, from the files that the stage leaves."""

import hashlib
import re
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool

from mvcgc.metrics import topk_hits
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.evaluate.classify import PREDICTIONS
from mvcgc.stages.evaluate.run import RANKS

_METRIC = re.compile(r"(top|r)(\d+)_(\w+)")


@dataclass(frozen=True)
class Outcomes:
    """Which test videos count towards the metric, ascending by name; ``videos`` stands for the names."""

    videos: str
    hits: Bool[np.ndarray, " N"]


def is_share_of_videos(metric: str) -> bool:
    """Whether the metric counts test videos: ``top<k>`` and ``r<k>``, of a view."""
    return _METRIC.fullmatch(metric) is not None


def load_outcomes(folder: StageFolder, metric: str) -> Outcomes | None:
    """Those behind a finished stage's metric, as ``r1_rgb``; None if its folder does not hold them."""
    match = _METRIC.fullmatch(metric)
    assert match is not None, f"{metric} is no share of videos"
    kind, k, view = match[1], int(match[2]), match[3]
    path = folder.path / (PREDICTIONS if kind == "top" else RANKS)
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        if view not in arrays:
            return None
        names, labels, values = (arrays[name] for name in ("names", "labels", view))
    if kind == "top":
        hits = topk_hits(torch.from_numpy(values), torch.from_numpy(labels), k).numpy()
    else:
        hits = values < k
    order = np.argsort(names)
    return Outcomes(hashlib.sha256("\n".join(names[order]).encode()).hexdigest(), hits[order])
