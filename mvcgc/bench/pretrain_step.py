"""Our own pre-training step, as the training loop takes it, within a measurement."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from mvcgc import dist
from mvcgc.bench.workload import AUGMENTATION, Shape
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.batch import Batch
from mvcgc.dist import Dist
from mvcgc.method.base import Method
from mvcgc.method.infonce import InfoNCE
from mvcgc.method.mining import Ids
from mvcgc.method.momentum import ContrastModel
from mvcgc.method.mvcgc import MVCGC
from mvcgc.method.task import Contrast
from mvcgc.models.backbone import BackboneConfig
from mvcgc.train import Checkpoints, NoJournal, OptimConfig, ScheduleKind, Session, StopFlag
from mvcgc.train.loop import step
from mvcgc.train.state import TrainState

STEPS = 1 << 30
"""Of an epoch: the measurement sees none end."""

STAGES = {"init/rgb": ("rgb",), "init/mv": ("mv",), "cross": ("rgb", "mv")}
"""The pre-training stages and their views."""


def backbone_of(option: str) -> BackboneConfig:
    """Return the settings of an option of the group ``backbone``. Raises UserError if there is none."""
    from mvcgc.config import compose  # not in processes whose memory is measured

    backbone: BackboneConfig = compose([f"backbone={option}"]).backbone
    return backbone


@dataclass(frozen=True)
class Setting:
    """A pre-training stage, with the paper's optimiser, queue and method."""

    stage: str
    backbone: BackboneConfig
    shape: Shape

    @property
    def views(self) -> tuple[str, ...]:
        """Of the stage."""
        return STAGES[self.stage]

    @property
    def method(self) -> Method:
        """The paper's of that stage."""
        return MVCGC(MVCGC.Config()) if self.stage == "cross" else InfoNCE(InfoNCE.Config())

    @property
    def optim(self) -> OptimConfig:
        """The paper's; no schedule needs to be driven."""
        return OptimConfig(batch_size=self.shape.batch * dist.world(), schedule=ScheduleKind.constant)

    def model(self) -> ContrastModel:
        """Always of the same weights, its queue full, so that all of the objective is at work."""
        torch.manual_seed(0)
        channels = {view: modality.channels for view, modality in built_in(*self.views).items()}
        model = ContrastModel(channels, self.backbone, self.method.config)
        size, dim = self.method.config.queue, self.method.config.dim
        keys = {view: functional.normalize(torch.randn(size, dim), dim=1) for view in self.views}
        number = torch.arange(size) + (1 << 40)
        model.queue.enqueue(keys, Ids(number, number, number % 10))
        return model


class PretrainStep:
    """Takes steps of a stage, on this rank, by the loop's own function."""

    def __init__(self, setting: Setting, place: Dist) -> None:
        self._optim = setting.optim
        inputs = Inputs(built_in(*setting.views), AUGMENTATION)
        self._task = Contrast(setting.model(), setting.method, self._optim.epochs, inputs)
        self.state = TrainState.build(self._task, self._optim, STEPS, place.device)
        self._session = Session(
            "bench",
            place,
            NoJournal(),
            Checkpoints(Path("nowhere")),  # none is ever due
            StopFlag(),
            checkpoint_every_s=math.inf,
        )
        self._task.train()
        self._task.start_epoch(0, 0)

    def take(self, batch: Batch) -> None:
        """One step."""
        self.go_on(iter([batch]))

    def go_on(self, batches: Iterator[Batch]) -> None:
        """A step on the next batch."""
        step(self.state, batches, self._optim, self._session)

    def losses(self, batches: Iterable[Batch]) -> list[float]:
        """The loss of one step on each."""
        found = []
        for batch in batches:
            self.state.interval.reset()
            self.take(batch)
            found.append(self.state.interval.means()["loss"])
        return found
