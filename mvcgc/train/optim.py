"""The optimiser of a stage and the course of its learning rate."""

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from mvcgc.errors import UserError

FACTOR = 0.1
"""Of the learning rate, at each drop."""
PLATEAU_DROPS = 2
# A validation loss counts as better from this relative improvement on.
PLATEAU_THRESHOLD = 1e-4


class OptimKind(Enum):
    """Which optimiser."""

    adam = "adam"
    sgd = "sgd"


class ScheduleKind(Enum):
    """How the learning rate goes after the warm-up.

    ``plateau`` divides it by ten, twice at most, when the validation loss has stopped falling (MVCGC);
    ``steps`` divides it by ten at each of ``milestones`` (CoCLR, main_coclr.py); ``cosine`` takes it to zero
    at the last step; ``constant`` leaves it.
    """

    plateau = "plateau"
    steps = "steps"
    cosine = "cosine"
    constant = "constant"


class Amp(Enum):
    """Mixed precision: ``none`` computes in float32, ``fp16`` scales the loss and skips steps that
    overflow.
    """

    none = "none"
    bf16 = "bf16"
    fp16 = "fp16"

    @property
    def dtype(self) -> torch.dtype:
        """Return what autocast computes in."""
        return {Amp.none: torch.float32, Amp.bf16: torch.bfloat16, Amp.fp16: torch.float16}[self]

    def on(self, device: torch.device) -> AbstractContextManager[None]:
        """The context to compute a loss in."""
        return torch.autocast(device.type, self.dtype, enabled=self is not Amp.none)


@dataclass
class OptimConfig:
    """How a stage is optimised; the defaults are the paper's for pre-training.

    ``batch_size`` is that of one step over all ranks and all ``accumulate`` micro-batches; ``momentum`` is
    SGD's; ``patience`` counts epochs without a better validation loss; ``milestones`` are epochs, counted
    from the start of the training or, where encoders take turns, of each turn; ``sync_bn`` computes the
    statistics of batch norm over all ranks.
    """

    kind: OptimKind = OptimKind.adam
    lr: float = 1e-4
    weight_decay: float = 1e-5
    momentum: float = 0.9
    epochs: int = 300
    batch_size: int = 128
    accumulate: int = 1
    warmup_epochs: float = 0.0
    schedule: ScheduleKind = ScheduleKind.plateau
    patience: int = 10
    milestones: list[int] = field(default_factory=list)
    amp: Amp = Amp.none
    sync_bn: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "patience"):
            if getattr(self, name) < 1:
                raise UserError(f"optim.{name}={getattr(self, name)} must be at least 1")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise UserError(f"optim.lr={self.lr} must be a positive number")
        for name in ("weight_decay", "momentum", "warmup_epochs"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise UserError(f"optim.{name}={getattr(self, name)} must not be negative")
        if self.warmup_epochs > self.epochs:
            raise UserError(
                f"optim.warmup_epochs={self.warmup_epochs} is more than optim.epochs={self.epochs}"
            )
        if sorted(set(self.milestones)) != list(self.milestones) or min(self.milestones, default=1) < 1:
            raise UserError(f"optim.milestones={list(self.milestones)}: give ascending epochs, as [250,280]")
        if self.schedule is ScheduleKind.steps and not self.milestones:
            raise UserError(
                "optim.schedule=steps: give the epochs of its drops, as optim.milestones=[250,280]"
            )

    def micro_batch(self, world: int) -> int:
        """Samples that one rank of ``world`` takes through the network at once.

        Raises UserError if ``batch_size`` cannot be cut that way.
        """
        pieces = world * self.accumulate
        if self.batch_size % pieces:
            raise UserError(
                f"optim.batch_size={self.batch_size} cannot be shared out evenly among {world} ranks "
                f"x optim.accumulate={self.accumulate}: choose a multiple of {pieces}"
            )
        return self.batch_size // pieces


@dataclass
class InitConfig(OptimConfig):
    """How the initialisation is trained.

    Attributes:
        weights: by view, a file of ``mvcgc export`` or ``mvcgc import`` in place of training it. It holds a
            backbone: the projection head that stage 2 learns with starts from random weights.
    """

    weights: dict[str, str] = field(default_factory=dict)

    @cached_property
    def optim(self) -> OptimConfig:
        """The optimiser alone: all that a stage of the initialisation is told."""
        return OptimConfig(**{one.name: getattr(self, one.name) for one in fields(OptimConfig)})


def check_precision(amp: Amp, device: torch.device) -> None:
    """Raise UserError for bf16 on a CPU.

    oneDNN's bf16 weight gradients of 3D convolutions over two frames, which all backbones have, are garbage
    where activations are ``channels_last_3d`` (torch 2.13: relative errors from 0.5 to infinite).
    """
    if amp is Amp.bf16 and device.type == "cpu":
        raise UserError("optim.amp=bf16 gives wrong gradients on CPUs: use optim.amp=none, or a GPU")


def build_optimizer(groups: Iterable[tuple[Iterable[nn.Parameter], float]], config: OptimConfig) -> Optimizer:
    """Return the optimiser over the parameters that want a gradient; see `step_unless` for its steps.

    ``groups`` are parameters and the factor of their learning rate.
    """
    trained: list[dict[str, Any]] = [
        {"params": [one for one in parameters if one.requires_grad], "factor": factor}
        for parameters, factor in groups
    ]
    if config.kind is OptimKind.adam:
        return Adam(trained, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    sgd = SGD(trained, lr=config.lr, weight_decay=config.weight_decay, momentum=config.momentum, fused=True)
    if config.momentum > 0:
        # Else a first step that is left out leaves them as they were allocated.
        for parameter in (one for group in sgd.param_groups for one in group["params"]):
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def forget(optimizer: Optimizer) -> None:
    """Make the optimiser's moments and step counts those of its first step."""
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, Tensor):
                value.zero_()


def step_unless(optimizer: Optimizer, skip: Tensor) -> None:
    """Take the step unless ``skip``, a bool on the device, is true; the host does not wait to know.

    This is the protocol by which torch's own GradScaler leaves out steps of fused optimisers.
    """
    optimizer.grad_scale, optimizer.found_inf = None, skip.float()  # type: ignore[attr-defined]
    optimizer.step()


class Schedule:
    """The learning rate of each step; the only state is that of ``plateau``.

    ``turns`` are the epochs at which encoders change turns (CoCLR): each turn starts from the full rate, and
    nothing of an earlier one counts.
    """

    def __init__(self, config: OptimConfig, steps_per_epoch: int, turns: Sequence[int] = (0,)) -> None:
        assert turns[0] == 0
        self._config = config
        self._steps_per_epoch = steps_per_epoch
        self._turns = tuple(turns)
        self._turn = 0
        self._best = math.inf
        self._bad_epochs = 0
        self._drops = 0

    def lr(self, step: int) -> float:
        """Return the rate for the step after ``step`` completed ones."""
        config = self._config
        warmup = round(config.warmup_epochs * self._steps_per_epoch)
        if step < warmup:
            return config.lr * (step + 1) / warmup
        epoch = min(step // self._steps_per_epoch, config.epochs - 1)
        turn = self.turn_of(epoch)
        start = self._turns[turn]
        match config.schedule:
            case ScheduleKind.cosine:
                end = self._turns[turn + 1] if turn + 1 < len(self._turns) else config.epochs
                first = max(warmup, start * self._steps_per_epoch)
                course = (step - first) / max(1, end * self._steps_per_epoch - first)
                return config.lr * 0.5 * (1 + math.cos(math.pi * course))
            case ScheduleKind.steps:
                passed = sum(epoch - start >= milestone for milestone in config.milestones)
                return config.lr * FACTOR**passed
            case ScheduleKind.plateau:
                return config.lr * FACTOR ** (self._drops if turn == self._turn else 0)
            case ScheduleKind.constant:
                return config.lr

    def turn_of(self, epoch: int) -> int:
        """Return the number of the turn, from 0, that ``epoch`` belongs to."""
        return sum(epoch >= start for start in self._turns) - 1

    def apply(self, optimizer: Optimizer, step: int) -> None:
        """Set the optimiser to the rate of this step."""
        for group in optimizer.param_groups:
            group["lr"] = self.lr(step) * group["factor"]

    def epoch_done(self, epoch: int, val_loss: float, counts: bool = True) -> None:
        """Take note of an epoch's validation loss; changes the rate under ``plateau`` alone.

        An epoch that does not count, as one before a queue of keys is full, leaves everything as it is.
        """
        if (turn := self.turn_of(epoch)) != self._turn:
            self._turn, self._best, self._bad_epochs, self._drops = turn, math.inf, 0, 0
        if not counts:
            return
        if val_loss < self._best * (1 - PLATEAU_THRESHOLD):
            self._best, self._bad_epochs = val_loss, 0
            return
        self._bad_epochs += 1
        wants_drop = self._bad_epochs >= self._config.patience and self._drops < PLATEAU_DROPS
        if self._config.schedule is ScheduleKind.plateau and wants_drop:
            self._drops += 1
            self._bad_epochs = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return {
            "turn": self._turn,
            "best": self._best,
            "bad_epochs": self._bad_epochs,
            "drops": self._drops,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._turn, self._best = state["turn"], state["best"]
        self._bad_epochs, self._drops = state["bad_epochs"], state["drops"]
