"""A small task, its data and its loader: everything that the loop deals with, and nothing of video.

Run in forked or spawned processes too, so it imports no test framework.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from mvcgc import dist
from mvcgc.runs.journal import JournalWriter
from mvcgc.train import (
    Checkpoints,
    Interrupted,
    NoJournal,
    OptimConfig,
    Session,
    StopFlag,
    Task,
    Validated,
    fit,
)

SAMPLES = 36
TIMING = {"clips_per_s", "data_wait"}


@dataclass
class Batch:
    """Clips [B, 2, 2, 4, 4], targets [B], and what the loop asks for."""

    x: Tensor
    y: Tensor
    names: list[str]

    @property
    def clips(self) -> int:
        return len(self.names)

    def to(self, device: torch.device) -> "Batch":
        return replace(self, x=self.x.to(device), y=self.y.to(device))


class Loader:
    """Micro-batch i of an epoch is the permutation's i-th piece of batch_size / accumulate; ranks share it
    out.
    """

    def __init__(self, config: OptimConfig, hook: Callable[[int, int], None] | None = None) -> None:
        generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(SAMPLES, 2, 2, 4, 4, generator=generator)
        self.y = self.x.mean(dim=(1, 2, 3, 4)) * 5
        self.global_micro = config.batch_size // config.accumulate
        self.share = config.micro_batch(dist.world())
        self.accumulate = config.accumulate
        self.hook = hook

    def __len__(self) -> int:
        return SAMPLES // self.global_micro

    def epoch(self, epoch: int, step: int) -> Iterator[Batch]:
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(epoch))
        for number in range(step * self.accumulate, len(self)):
            if self.hook is not None:
                self.hook(epoch, number)
            first = number * self.global_micro + dist.rank() * self.share
            ids = order[first : first + self.share]
            yield Batch(self.x[ids], self.y[ids], [f"video {i}" for i in ids.tolist()])


class Regression(Task):
    """Convolution, batch norm, dropout and a linear layer; a twin that follows and a queue, as in
    pre-training.
    """

    def __init__(self, norm: bool = True, dropout: float = 0.2) -> None:
        super().__init__()
        torch.manual_seed(3)
        layers = [nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4) if norm else nn.Identity(), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout), nn.Linear(128, 1))
        self.register_buffer("twin", torch.zeros(1, 128))
        self.register_buffer("queue", torch.zeros(24))
        self.pending: list[Tensor] = []

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        out = self.body(batch.x)[:, 0]
        if self.training:
            self.pending.append(out.detach())
        near = (out.detach() - batch.y).abs() < 0.5
        figures = {
            "near": torch.stack([near.sum().float(), torch.tensor(float(len(near)))]),
            "queue": self.queue.mean(),
        }
        return (out - batch.y).square().mean(), figures

    def start_epoch(self, epoch: int, position: int) -> None:
        pass

    def finish_step(self) -> None:
        for keys in self.pending:
            everyone = dist.all_gather_cat(keys)
            self.queue = torch.cat([self.queue, everyone])[-24:]
        self.pending = []
        with torch.no_grad():
            self.twin.lerp_(self.body[-1].weight, 0.1)


def train(
    folder: Path,
    config: OptimConfig,
    task: Task | None = None,
    *,
    attempt: int = 1,
    hook: Callable[[int, int], None] | None = None,
    checkpoint_every_s: float = 0.0,
    stop: StopFlag | None = None,
    validate: Callable[[], Validated] | None = None,
) -> dict[str, float]:
    """``fit`` of the stand-in within ``folder``; keeps journal and checkpoints there."""
    place = dist.Dist(dist.rank(), dist.world(), dist.rank(), torch.device("cpu"))
    loader = Loader(config, hook)
    with stop or StopFlag() as flag:
        journal = JournalWriter(folder / "journal", attempt) if place.is_main else NoJournal()
        session = Session(
            name="standin",
            dist=place,
            journal=journal,
            checkpoints=Checkpoints(folder / "checkpoint"),
            stop=flag,
            seed=5,
            log_every=2,
            checkpoint_every_s=checkpoint_every_s,
        )
        try:
            return fit(task or Regression(), loader, config, session, validate)
        finally:
            if isinstance(journal, JournalWriter):
                journal.close()


def train_and_die(
    folder: Path, config: OptimConfig, at: tuple[int, int], number: int, every_s: float
) -> None:
    """In a process of its own: train until the batch ``at``, there get the signal; exits 3 if it was
    heeded.
    """
    torch.set_num_threads(1)

    def hook(epoch: int, position: int) -> None:
        if (epoch, position) == at:
            os.kill(os.getpid(), number)

    try:
        train(folder, config, hook=hook, checkpoint_every_s=every_s)
    except Interrupted:
        os._exit(3)
