"""Learning rates against the course that the configuration describes, and what a configuration refuses."""

from typing import Any

import pytest
import torch
from torch import nn

from mvcgc.errors import UserError
from mvcgc.models.layers import lay_out
from mvcgc.train.optim import OptimConfig, OptimKind, Schedule, ScheduleKind, build_optimizer, step_unless


def test_defaults_are_the_papers() -> None:
    config = OptimConfig()
    assert (config.kind, config.lr, config.weight_decay) == (OptimKind.adam, 1e-4, 1e-5)
    assert (config.batch_size, config.epochs, config.schedule) == (128, 300, ScheduleKind.plateau)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "optim.epochs=0 must be at least 1"),
        ({"accumulate": -1}, "optim.accumulate=-1 must be at least 1"),
        ({"lr": 0.0}, "optim.lr=0.0 must be a positive number"),
        ({"lr": float("nan")}, "optim.lr=nan must be a positive number"),
        ({"weight_decay": -0.1}, "optim.weight_decay=-0.1 must not be negative"),
        ({"epochs": 2, "warmup_epochs": 3.0}, "optim.warmup_epochs=3.0 is more than optim.epochs=2"),
    ],
)
def test_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        OptimConfig(**values)


def test_micro_batch_is_a_ranks_share() -> None:
    assert OptimConfig(batch_size=24, accumulate=3).micro_batch(world=4) == 2
    with pytest.raises(
        UserError, match=r"batch_size=24 .* 5 ranks x optim\.accumulate=3: choose a multiple of 15"
    ):
        OptimConfig(batch_size=24, accumulate=3).micro_batch(world=5)


def test_only_what_wants_a_gradient_is_optimised() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    config = OptimConfig(kind=OptimKind.sgd, lr=0.5, weight_decay=0.25, momentum=0.75)
    group = build_optimizer([(layer.parameters(), 1.0)], config).param_groups[0]
    assert group["params"] == [layer.weight]
    assert (group["lr"], group["weight_decay"], group["momentum"]) == (0.5, 0.25, 0.75)
    config = OptimConfig(lr=0.5, weight_decay=0.25)
    adam = build_optimizer([(layer.parameters(), 1.0)], config).param_groups[0]
    assert adam["params"] == [layer.weight]
    assert (adam["lr"], adam["weight_decay"]) == (0.5, 0.25)


def test_cosine_after_warmup() -> None:
    config = OptimConfig(lr=2.0, epochs=5, warmup_epochs=1.0, schedule=ScheduleKind.cosine)
    schedule = Schedule(config, steps_per_epoch=4)
    assert [schedule.lr(step) for step in range(4)] == [0.5, 1.0, 1.5, 2.0]
    assert schedule.lr(4) == 2.0
    assert schedule.lr(12) == pytest.approx(1.0)  # half-way between the warm-up's end and step 20
    assert 0 < schedule.lr(19) < 0.02
    assert schedule.lr(20) == pytest.approx(0.0)


def test_constant_stays_whatever_validation_says() -> None:
    schedule = Schedule(OptimConfig(lr=2.0, patience=1, schedule=ScheduleKind.constant), steps_per_epoch=4)
    for epoch, loss in enumerate((1.0, 2.0, 3.0, 4.0)):
        schedule.epoch_done(epoch, loss)
    assert schedule.lr(1000) == 2.0


def test_plateau_divides_by_ten_twice_and_no_more() -> None:
    schedule = Schedule(OptimConfig(lr=1.0, patience=2), steps_per_epoch=1)
    rates = []
    for epoch, loss in enumerate((5.0, 4.0, 4.0, 3.0, 3.0, 3.5, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0)):
        schedule.epoch_done(epoch, loss)
        rates.append(round(schedule.lr(0), 6))
    assert rates == [1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]


def test_plateau_takes_tiny_gains_and_nan_for_none() -> None:
    schedule = Schedule(OptimConfig(lr=1.0, patience=3), steps_per_epoch=1)
    for epoch, loss in enumerate((5.0, 4.9999, float("nan"), 4.9998)):
        schedule.epoch_done(epoch, loss)
    assert schedule.lr(0) == pytest.approx(0.1)


def test_plateau_passes_over_epochs_that_do_not_count() -> None:
    schedule = Schedule(OptimConfig(lr=1.0, patience=2), steps_per_epoch=1)
    rates = []
    # Counted, the first would be the best, the fourth would make two bad ones, the fifth would be the best.
    course = [(0.1, False), (5.0, True), (6.0, True), (6.0, False), (1.0, False), (4.0, True), (4.5, True)]
    for epoch, (loss, counts) in enumerate([*course, (4.5, True)]):
        schedule.epoch_done(epoch, loss, counts)
        rates.append(round(schedule.lr(epoch), 6))
    assert rates == [1, 1, 1, 1, 1, 1, 1, 0.1]


def test_steps_divide_by_ten_at_each_milestone() -> None:
    config = OptimConfig(lr=1.0, epochs=6, schedule=ScheduleKind.steps, milestones=[2, 4])
    schedule = Schedule(config, steps_per_epoch=2)
    rates = [round(schedule.lr(step), 6) for step in range(12)]
    assert rates == [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]


def test_state_carries_over() -> None:
    config = OptimConfig(lr=1.0, patience=2)
    one, other = Schedule(config, 1), Schedule(config, 1)
    for epoch, loss in enumerate((5.0, 6.0)):
        one.epoch_done(epoch, loss)
    other.load_state_dict(one.state_dict())
    for schedule in (one, other):
        schedule.epoch_done(2, 5.5)
    assert one.lr(0) == other.lr(0) == pytest.approx(0.1)


def test_apply_reaches_every_group_by_its_factor() -> None:
    config = OptimConfig(lr=0.5, schedule=ScheduleKind.constant)
    optimizer = build_optimizer([([nn.Parameter(torch.ones(1))], factor) for factor in (1.0, 0.1)], config)
    Schedule(config, 1).apply(optimizer, 0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.05])


def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv3d(2, 3, (1, 3, 3)), nn.Conv3d(3, 4, (3, 1, 1)), nn.Flatten(), nn.Linear(16, 2)
    )
    lay_out(net)
    return net


def gradients(net: nn.Module, seed: int) -> None:
    x = torch.randn(5, 2, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    net.zero_grad()
    net(x.contiguous(memory_format=torch.channels_last_3d)).square().sum().backward()


@pytest.mark.parametrize("kind", OptimKind)
@pytest.mark.parametrize("skipped", [0, 1])
def test_fused_steps_are_plain_ones_and_one_that_is_left_out_leaves_no_trace(
    kind: OptimKind, skipped: int
) -> None:
    """Also for weights that do not lie as their shape says, which fused steps take as they lie."""
    config = OptimConfig(kind=kind, lr=0.01, weight_decay=0.1)
    ours, plain = network(), network()
    optimizer = build_optimizer([(ours.parameters(), 1.0)], config)
    if kind is OptimKind.adam:
        reference: torch.optim.Optimizer = torch.optim.Adam(
            plain.parameters(), lr=0.01, weight_decay=0.1, foreach=False
        )
    else:
        reference = torch.optim.SGD(
            plain.parameters(), lr=0.01, weight_decay=0.1, momentum=0.9, foreach=False
        )
    for seed in range(4):
        gradients(ours, seed)
        skip = torch.tensor(seed == skipped)
        if skip:
            for parameter in ours.parameters():
                assert parameter.grad is not None
                parameter.grad.fill_(torch.nan)
        step_unless(optimizer, skip)
        if not skip:
            gradients(plain, seed)
            reference.step()
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(one, other)
