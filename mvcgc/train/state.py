"""Everything that a run changes as it trains, and so everything that a checkpoint holds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from mvcgc import dist
from mvcgc.train import rng
from mvcgc.train.checkpoint import Checkpoints
from mvcgc.train.failure import Lookout
from mvcgc.train.meter import Meter
from mvcgc.train.optim import Amp, OptimConfig, Schedule, build_optimizer, check_precision
from mvcgc.train.parallel import spread
from mvcgc.train.running_statistics import RunningStatistics
from mvcgc.train.task import Task


@dataclass
class TrainState:
    """A run after ``step`` steps. The sampler's position follows from ``step`` and ``steps_per_epoch``.

    ``net`` is ``task``, on several ranks within DDP; ``interval`` and ``epoch`` are the means since the
    last record and since the epoch's start, ``validated`` is what the last validation found.
    """

    task: Task
    net: nn.Module
    optimizer: Optimizer
    schedule: Schedule
    scaler: GradScaler
    statistics: RunningStatistics
    steps_per_epoch: int
    device: torch.device
    step: int = 0
    interval: Meter = field(default_factory=Meter)
    epoch: Meter = field(default_factory=Meter)
    lookout: Lookout = field(default_factory=Lookout)
    validated: dict[str, float] = field(default_factory=dict)

    @classmethod
    def build(
        cls, task: Task, config: OptimConfig, steps_per_epoch: int, device: torch.device
    ) -> "TrainState":
        """A run before its first step; moves ``task`` to the device. Raises as `check_precision` does."""
        check_precision(config.amp, device)
        net = spread(task, device, config.sync_bn)
        return cls(
            task=task,
            net=net,
            optimizer=build_optimizer(task.parameter_groups(), config),
            schedule=Schedule(config, steps_per_epoch, task.turns),
            scaler=GradScaler(device.type, enabled=config.amp is Amp.fp16),
            statistics=RunningStatistics(nn.Identity() if config.sync_bn or task.same_batches else task),
            steps_per_epoch=steps_per_epoch,
            device=device,
        )

    @property
    def epoch_complete(self) -> bool:
        """Return whether the last step was the last of its epoch."""
        return self.step % self.steps_per_epoch == 0

    def count(self, figures: Mapping[str, Tensor | float]) -> None:
        """Add figures to both means."""
        self.interval.add(figures)
        self.epoch.add(figures)

    def check(self) -> None:
        """Raise NotFinite unless all steps so far were finite; waits for the last one. All ranks call it."""
        if dist.any_flag(self.lookout.broken(newest=True)):
            raise self.lookout.failure()

    def report(self, meter: Meter) -> dict[str, float]:
        """The means of ``meter`` that are defined, and the rates that follow; all ranks call it."""
        means = {name: value for name, value in meter.means().items() if not math.isnan(value)}
        loss = {"loss": means.pop("loss")}  # first: it is what a narrow progress line shows
        seconds, wait, clips = (means.pop(name) for name in ("seconds", "wait", "clips"))
        rates = {"clips_per_s": clips * dist.world() / seconds, "data_wait": wait / seconds}
        return {**loss, **means, **rates, "lr": self.schedule.lr(self.step - 1)}

    def save(self, checkpoints: Checkpoints) -> None:
        """Publish a checkpoint; all ranks call it."""
        shared: dict[str, Any] = {
            "steps_per_epoch": self.steps_per_epoch,
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "interval": self.interval.totals(),
            "epoch": self.epoch.totals(),
            "validated": self.validated,
        }
        own = {
            "rng": rng.capture(),
            "interval": self.interval.state_dict(),
            "epoch": self.epoch.state_dict(),
        }
        checkpoints.save(self.step, shared, own)

    def restore(self, checkpoints: Checkpoints) -> bool:
        """Go on from the newest checkpoint; False if there is none.

        With the number of ranks that wrote it the run goes on to the bit, on CPUs, and on GPUs as far as
        `mvcgc.dist.make_deterministic` reaches. With another number the generators start from the step and
        the rank, all else goes on.
        """
        loaded = checkpoints.load()
        if loaded is None:
            return False
        shared, own = loaded.shared, loaded.own
        assert shared["steps_per_epoch"] == self.steps_per_epoch, "the checkpoint is of another stage"
        self.step = loaded.step
        self.task.load_state_dict(shared["task"])
        self.optimizer.load_state_dict(shared["optimizer"])
        self.schedule.load_state_dict(shared["schedule"])
        self.scaler.load_state_dict(shared["scaler"])
        self.validated = shared["validated"]
        if own is None:
            rng.reseed(self.step * dist.world() + dist.rank())
            for name, meter in (("interval", self.interval), ("epoch", self.epoch)):
                once = {figure: entry * dist.is_main() for figure, entry in shared[name].items()}
                meter.load_state_dict(once)
            return True
        rng.restore(own["rng"])
        self.interval.load_state_dict(own["interval"])
        self.epoch.load_state_dict(own["epoch"])
        return True
