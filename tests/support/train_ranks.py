"""What two ranks do in `test_parallel`; imported in their processes, so it imports no test framework."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from train_factories import Batch, Regression, train

from mvcgc import dist
from mvcgc.train import Interrupted, NotFinite, OptimConfig, OptimKind, ScheduleKind, StopFlag
from mvcgc.train.meter import Meter
from mvcgc.train.running_statistics import RunningStatistics
from mvcgc.train.sync_norm import SyncBatchNorm

# SGD: Adam would blow up the rounding in gradients that are zero but for it.
SYNCED = OptimConfig(
    kind=OptimKind.sgd, lr=0.05, epochs=3, batch_size=12, schedule=ScheduleKind.cosine, sync_bn=True
)
OWN = replace(SYNCED, kind=OptimKind.adam, lr=0.01, weight_decay=0.01, sync_bn=False)


def task() -> Regression:
    return Regression(dropout=0.0)


class HalfFrozen(Regression):
    """Of its two heads only one takes part, by turns, as in CoCLR."""

    leaves_parameters_out = True

    def __init__(self) -> None:
        super().__init__(dropout=0.0)
        self.second = nn.Linear(128, 1)
        self.turn = 0

    def start_epoch(self, epoch: int, position: int) -> None:
        self.turn = epoch % 2

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        features = self.body[:-1](batch.x)
        out = (self.second if self.turn else self.body[-1])(features)[:, 0]
        return (out - batch.y).square().mean(), {}


class NanOnOne(Regression):
    """Rank 1's loss breaks at the video that is called 7."""

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss, figures = super().forward(batch)
        return (loss * torch.nan if "video 7" in batch.names else loss), figures


class InfOnOne(Regression):
    """Rank 1's loss is infinite at the video that is called 7, and its gradients are not."""

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss, figures = super().forward(batch)
        return (loss + torch.inf if "video 7" in batch.names else loss), figures


def norm_inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 3, 2, 4, generator=generator, dtype=torch.float64) * 3 + 10
    return x, torch.randn(6, 3, 2, 4, generator=generator, dtype=torch.float64)


def through_norm(norm: nn.Module, x: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Output, gradients of a weighted sum and running statistics of one pass."""
    norm = norm.double()
    x = x.clone().requires_grad_(True)
    out = norm(x)
    (out * weights).sum().backward()
    gradients = {name: parameter.grad for name, parameter in norm.named_parameters()}
    return {"out": out.detach(), "x": x.grad, **gradients, **dict(norm.named_buffers())}


def network() -> nn.Sequential:
    """Two norms on the same input, of other momenta, and one that does not learn."""
    norms = [nn.BatchNorm1d(3, momentum=0.3), nn.BatchNorm1d(3, momentum=0.1), nn.BatchNorm1d(3)]
    for norm in norms:
        norm.running_mean, norm.running_var = torch.tensor([1.0, 20, -3]), torch.tensor([2.0, 0.5, 9])
    return nn.Sequential(*norms)


def uneven_batches() -> Tensor:
    """Three passes of six samples, the second half of which lies elsewhere: ranks differ in their means."""
    generator = torch.Generator().manual_seed(2)
    offset = torch.tensor([0.0, 4.0]).repeat_interleave(3)[:, None]
    return torch.randn(3, 6, 3, generator=generator) * (1 + offset) + 5 * offset


def statistics_of(batches: Tensor) -> dict[str, Tensor]:
    """The buffers after the passes, each on this process's samples of a batch."""
    norms = network()
    norms[2].eval()
    statistics = RunningStatistics(norms)
    for batch in batches:
        with statistics.combined():
            for norm in norms:
                norm(batch)
        norms[0].eval()(batch)  # validation changes nothing
        norms[0].train()
    return dict(norms.named_buffers())


def helpers() -> dict[str, Any]:
    rank = dist.rank()
    own = torch.full((rank + 1, 2), float(rank))
    meter = Meter()
    meter.add({"loss": float(rank), "some": torch.tensor([1.0, 1.0 + 3 * rank])})
    return {
        "uneven": dist.all_gather_cat(own, uneven=True),
        "empty": dist.all_gather_cat(own[:rank], uneven=True),
        "even": dist.all_gather_cat(torch.tensor([rank, rank + 10])),
        "rows": dist.all_gather_rows(torch.full((2, 2, 1), rank + 0.5), torch.tensor([rank, rank - 10])),
        "objects": dist.all_gather_object({"rank": rank}),
        "sum": dist.all_reduce_sum(torch.tensor([1.0, rank])),
        "mean": dist.all_reduce_mean(torch.tensor([1.0, rank])),
        "broadcast": dist.broadcast(torch.tensor([rank + 5])),
        "flags": dist.any_flags([rank == 1, False, True]),
        "meter": meter.means(),
    }


def broken(folder: Path, model: Regression) -> tuple[str, dict[str, Tensor]]:
    """How it ended, and with what weights."""
    try:
        train(folder, OWN, model)
    except NotFinite as error:
        return str(error), dict(model.named_parameters())
    return "went on", {}


def stopped(folder: Path, config: OptimConfig = OWN) -> str:
    """Only rank 1 gets the signal, in the middle of the second epoch."""
    flag = StopFlag()

    def hook(epoch: int, position: int) -> None:
        if dist.rank() == 1 and (epoch, position) == (1, 0):
            flag.raise_flag(signal.SIGTERM)

    try:
        train(folder, config, task(), hook=hook, stop=flag, checkpoint_every_s=1000.0)
    except Interrupted as interrupted:
        return str(interrupted)
    return "went on"


def trained(
    folder: Path, config: OptimConfig, make: Callable[[], Regression], **more: Any
) -> dict[str, Tensor]:
    model = make()
    train(folder, config, model, checkpoint_every_s=1000.0, **more)
    return dict(model.state_dict())


def everything(folder: Path) -> dict[str, Any]:
    """All that the tests look at, of one rank."""
    x, weights = norm_inputs()
    mine = slice(3 * dist.rank(), 3 * dist.rank() + 3)
    result = {
        "helpers": helpers(),
        "statistics": statistics_of(uneven_batches()[:, mine]),
        "norm": through_norm(SyncBatchNorm(3), x[mine], weights[mine]),
        "synced": trained(folder / "synced", SYNCED, task),
        "accumulated": trained(
            folder / "accumulated", replace(SYNCED, accumulate=3), lambda: Regression(False, 0.0)
        ),
        "whole": trained(folder / "whole", SYNCED, lambda: Regression(False, 0.0)),
        "own": trained(folder / "own", OWN, task),
        "frozen": trained(folder / "frozen", replace(OWN, epochs=1), HalfFrozen),
        "broken": broken(folder / "broken", NanOnOne()),
        "infinite": broken(folder / "infinite", InfOnOne()),
        "stopped": stopped(folder / "stopped"),
    }
    result["handed"] = stopped(folder / "handed", SYNCED)
    result["resumed"] = trained(folder / "stopped", OWN, task, attempt=2)
    return result
