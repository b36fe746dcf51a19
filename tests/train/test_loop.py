"""The loop on one process: what it computes, writes, and how it goes on after being stopped."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from real_processes import run_one
from torch import Tensor
from train_factories import SAMPLES, TIMING, Batch, Loader, Regression, train, train_and_die

from mvcgc.errors import UserError
from mvcgc.runs import journal
from mvcgc.train import Amp, Interrupted, NotFinite, OptimConfig, OptimKind, ScheduleKind, StopFlag, Validated
from mvcgc.train.checkpoint import Checkpoints

CLOCK = {"seconds", "wait"}
CONFIG = OptimConfig(lr=0.01, epochs=3, batch_size=6, schedule=ScheduleKind.cosine)


def figures(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The journal without what a clock has measured."""
    folded = journal.read(folder / "journal")
    points = {name: points for name, points in folded.points.items() if name not in TIMING}
    return {name: [(point.step, point.value) for point in line] for name, line in points.items()}


def final_state(folder: Path) -> dict[str, Any]:
    loaded = Checkpoints(folder / "checkpoint").load()
    assert loaded is not None
    assert loaded.own is not None
    generators = dict(loaded.own["rng"])
    del generators["python"]  # which the tests' own type checker draws from
    shared = dict(loaded.shared)
    for meter in ("interval", "epoch"):
        shared[meter] = {name: entry for name, entry in shared[meter].items() if name not in CLOCK}
    return {"step": loaded.step, "shared": shared, "rng": generators}


def assert_same(a: Any, b: Any) -> None:
    """Equal to the bit, all the way down."""
    assert type(a) is type(b)
    if isinstance(a, Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        assert a == b


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    train(folder, CONFIG, checkpoint_every_s=1000.0)
    return folder


def test_loss_falls_and_journal_has_every_interval(undisturbed: Path) -> None:
    lines = figures(undisturbed)
    assert set(lines) == {"loss", "near", "queue", "grad_norm", "lr"}
    assert [step for step, _ in lines["loss"]] == list(range(2, 19, 2))
    assert lines["loss"][-1][1] < 0.5 * lines["loss"][0][1]
    assert lines["lr"][0][1] > lines["lr"][-1][1] > 0
    timing = journal.read(undisturbed / "journal").points
    assert all(point.value > 0 for point in timing["clips_per_s"])
    assert all(0 <= point.value < 1 for point in timing["data_wait"])


def test_returns_the_last_epochs_means(tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=2)
    result = train(tmp_path, config)
    line = dict(figures(tmp_path)["loss"])
    assert result["loss"] == pytest.approx((line[8] + line[10] + line[12]) / 3)


def test_steps_equal_a_plain_loop_written_out(tmp_path: Path) -> None:
    config = OptimConfig(
        kind=OptimKind.sgd,
        lr=0.1,
        weight_decay=0.01,
        momentum=0.9,
        epochs=2,
        batch_size=6,
        schedule=ScheduleKind.constant,
    )
    task, reference = Regression(dropout=0.0), Regression(dropout=0.0)
    train(tmp_path, config, task)
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.1, weight_decay=0.01, momentum=0.9)
    loader = Loader(config)
    for epoch in range(2):
        for batch in loader.epoch(epoch, 0):
            optimizer.zero_grad()
            reference(batch)[0].backward()
            optimizer.step()
            reference.finish_step()
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(task.state_dict()[name], value, msg=name)


@pytest.mark.parametrize(
    ("number", "every_s", "resumes_at"),
    [(signal.SIGKILL, 0.0, 9), (signal.SIGTERM, 1000.0, 10), (signal.SIGUSR2, 1000.0, 10)],
)
def test_resume_in_the_middle_of_an_epoch_is_exact(
    tmp_path: Path, undisturbed: Path, number: signal.Signals, every_s: float, resumes_at: int
) -> None:
    exit_code = run_one(train_and_die, tmp_path, CONFIG, (1, 3), number, every_s)
    assert exit_code == (-signal.SIGKILL if number == signal.SIGKILL else 3)
    torch.randn(5)  # a new process's generators stand elsewhere
    result = train(tmp_path, CONFIG, attempt=2, checkpoint_every_s=1000.0)
    records = [record for _, record in journal.records(journal.path_of(tmp_path / "journal", 2))]
    assert records[0] is not None
    assert records[0]["kind"] == "resume"
    assert records[0]["from_step"] == resumes_at
    assert_same(final_state(tmp_path), final_state(undisturbed))
    assert figures(tmp_path) == figures(undisturbed)
    assert result["loss"] == train(undisturbed, CONFIG, attempt=9)["loss"]  # which finds itself finished


def test_resume_after_the_last_step_returns_what_validation_found(tmp_path: Path) -> None:
    losses = iter([2.5])  # a second validation would find none
    config = replace(CONFIG, epochs=1)
    for attempt in (1, 2):
        found = train(
            tmp_path, config, attempt=attempt, validate=lambda: Validated({"val_loss": next(losses)})
        )
        assert found["val_loss"] == 2.5


def test_resume_at_an_epochs_end_and_with_plateau_is_exact(tmp_path: Path) -> None:
    config = replace(CONFIG, schedule=ScheduleKind.plateau, patience=1, epochs=5)
    losses = [3.0, 2.0, 2.5, 2.5, 2.5]

    def run(folder: Path, stop_after: int | None, attempt: int, done: int) -> None:
        given = iter(losses[done:])
        flag = StopFlag()

        def hook(epoch: int, position: int) -> None:
            if stop_after is not None and (epoch, position) == (stop_after, 5):
                flag.raise_flag(signal.SIGUSR2)

        train(
            folder,
            config,
            attempt=attempt,
            hook=hook,
            stop=flag,
            checkpoint_every_s=1000.0,
            validate=lambda: Validated({"val_loss": next(given)}),
        )

    run(tmp_path / "whole", None, 1, 0)
    with pytest.raises(Interrupted, match="SIGUSR2: checkpoint after step 18"):
        run(tmp_path / "parts", 2, 1, 0)
    run(tmp_path / "parts", None, 2, 3)
    assert_same(final_state(tmp_path / "parts"), final_state(tmp_path / "whole"))
    assert figures(tmp_path / "parts") == figures(tmp_path / "whole")
    rates = dict(figures(tmp_path / "whole")["lr"])
    assert [rates[step] for step in (18, 24, 30)] == pytest.approx([0.01, 0.001, 0.0001])


def test_accumulated_micro_batches_equal_the_big_batch(tmp_path: Path) -> None:
    config = replace(CONFIG, batch_size=12)
    big, small = Regression(norm=False, dropout=0.0), Regression(norm=False, dropout=0.0)
    train(tmp_path / "big", config, big)
    train(tmp_path / "small", replace(config, accumulate=3), small)
    for name, value in big.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], value, rtol=1e-4, atol=1e-6, msg=name)
    one, other = figures(tmp_path / "big"), figures(tmp_path / "small")
    assert [value for _, value in other["loss"]] == pytest.approx(
        [value for _, value in one["loss"]], rel=1e-4
    )


class Broken(Regression):
    """Its loss, or only its gradient, is not finite for the video that is called 7."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss, figures = super().forward(batch)
        if "video 7" not in batch.names:
            return loss, figures
        if self.how == "gradient":
            return loss + (self.body[0].bias.sum() * 0).sqrt(), figures
        return loss * float(self.how), figures


@pytest.mark.parametrize("how", ["nan", "inf", "gradient"])
def test_not_finite_names_step_and_videos_and_spoils_nothing(tmp_path: Path, how: str) -> None:
    config = replace(CONFIG, accumulate=2)
    task = Broken(how)
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(0)).tolist()
    place = order.index(7)
    with pytest.raises(NotFinite, match=rf"not finite at step {place // 6 + 1}; videos") as caught:
        train(tmp_path, config, task)
    named = str(caught.value).split("of the batch: ")[1].split(", ")
    # Of two micro-batches of three only the one at fault is named, unless only the gradient tells.
    piece = 6 if how == "gradient" else 3
    first = place // piece * piece
    assert named == [f"video {number}" for number in order[first : first + piece]]
    assert all(parameter.isfinite().all() for parameter in task.parameters())


def test_mixed_precision_lowers_the_loss(tmp_path: Path) -> None:
    train(tmp_path, replace(CONFIG, amp=Amp.fp16, epochs=6))
    line = [value for _, value in figures(tmp_path)["loss"]]
    assert sum(line[-3:]) < 0.5 * sum(line[:3])
    assert final_state(tmp_path)["shared"]["scaler"]["scale"] > 1


def test_overflow_in_half_precision_skips_the_step_and_lowers_the_scale(tmp_path: Path) -> None:
    task = Broken("gradient")
    train(tmp_path, replace(CONFIG, amp=Amp.fp16, epochs=1), task)
    assert final_state(tmp_path)["shared"]["scaler"]["scale"] < 2.0**16
    assert all(parameter.isfinite().all() for parameter in task.parameters())


def test_bf16_is_refused_on_cpus(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"optim\.amp=bf16 gives wrong gradients on CPUs"):
        train(tmp_path, replace(CONFIG, amp=Amp.bf16))


def test_batch_larger_than_the_dataset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"optim\.batch_size=64 is larger than the dataset"):
        train(tmp_path, replace(CONFIG, batch_size=64))


def test_plateau_without_validation(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="schedule=plateau needs a validation part"):
        train(tmp_path, replace(CONFIG, schedule=ScheduleKind.plateau))


def test_progress_in_a_log_is_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, replace(CONFIG, epochs=1))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("standin step 2/6 ")
    assert "loss=" in lines[0]
    assert "\x1b" not in "".join(lines)
