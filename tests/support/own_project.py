"""A user's project in a folder: a module with parts of its own, and configuration that names them."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

TASKS = '''
from dataclasses import dataclass

import torch

from mvcgc.errors import UserError
from mvcgc.stages.evaluate.kinds import Evaluation
from mvcgc.stages.evaluate.metric import Metric, MetricConfig
from mvcgc.stages.evaluate.run import evaluate, features, finish
from mvcgc.stages.kind import Headline, KindConfig


class Knn(Evaluation):
    """The vote of the nearest training videos."""

    version = 1
    headlines = (Headline("knn", "k-NN"),)

    @dataclass
    class Config(KindConfig):
        k: int = 1
        share: float = 0.5

        def __post_init__(self):
            if self.k < 1:
                raise UserError(f"knn.k={self.k}: ask one video at least")

    @staticmethod
    def run(context, spec):
        return evaluate(context, spec, vote)


def vote(bench):
    found, train = features(bench), bench.manifest.training()
    metrics = {}
    for name in found.of(train):
        unit = [torch.nn.functional.normalize(found.of(ids)[name]) for ids in (bench.test, train)]
        nearest = (unit[0] @ unit[1].T).topk(bench.spec.task.k).indices
        votes = bench.labels(train)[nearest].mode(dim=1).values
        metrics[f"knn_{name}"] = 100 * (votes == bench.labels(bench.test)).double().mean().item()
    return finish(bench, found, metrics, [])


class Look(Knn):
    """Reads what knn leaves."""

    version = 1
    after = ("knn",)
    headlines = ()


class Last(Look):
    """Reads what both leave."""

    version = 1
    after = ("look", "knn")


class Circle(Knn):
    """Reads what reads it."""

    version = 1
    after = ("look",)


class Speed(Knn):
    """Needs no encoders."""

    version = 1
    needs_encoders = False
    one_rank = True
    headlines = (Headline("seconds", "Time (s)", "lower", by_view=False),)


class Fresh(Knn):
    """Tells its stages what is made on the spot."""

    version = 1

    def parts(self, experiment, views, dataset):
        parts = super().parts(experiment, views, dataset)
        return {**parts, "clip": type(experiment.clip)(experiment.clip.frames, experiment.clip.size)}


class Errors(Metric):
    """The share of videos, from the second class on, of another class than the likeliest."""

    version = 1
    better = "lower"

    @dataclass
    class Config(MetricConfig):
        scale: float = 100.0

    def __call__(self, scores, labels):
        return self.config.scale * (scores.argmax(dim=1) != labels).double().mean().item()
'''

KNN = "tasks: [knn]\nknn: {_target_: MODULE.Knn, k: 3}\n"
NUMBERS = iter(range(1000))


@dataclass(frozen=True)
class OwnProject:
    """The folder, and the module's name, which no other project has."""

    folder: Path
    module: str

    def write(self, path: str, text: str, conf: str = "conf") -> Path:
        """Write a file of configuration, in which ``MODULE`` stands for the module's name."""
        file = self.folder / conf / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("MODULE", self.module))
        return file

    def load(self, name: str) -> type:
        """Return a class of the module."""
        found: type = getattr(importlib.import_module(self.module), name)
        return found


@contextmanager
def own_project(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str = TASKS) -> Iterator[OwnProject]:
    """Make a project in ``folder`` and go there; what is imported from it is forgotten at the end."""
    module = f"own_parts_{next(NUMBERS)}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(text)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MVCGC_CONFIG_DIR", raising=False)
    importlib.invalidate_caches()
    try:
        yield OwnProject(folder, module)
    finally:
        sys.modules.pop(module, None)
