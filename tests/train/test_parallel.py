"""Two real ranks, over gloo, against one."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from real_processes import on_two_ranks, run_one
from test_loop import figures
from torch import Tensor, nn
from train_factories import SAMPLES
from train_ranks import (
    SYNCED,
    HalfFrozen,
    everything,
    network,
    norm_inputs,
    statistics_of,
    task,
    through_norm,
    trained,
    uneven_batches,
)

from mvcgc import dist
from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.train.running_statistics import RunningStatistics


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    """Return what each of the two ranks has found."""
    return on_two_ranks(everything, folder)


def losses(folder: Path, name: str) -> list[float]:
    return [value for _, value in figures(folder / name)["loss"]]


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor], **tolerance: float) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        torch.testing.assert_close(
            value, other[name], msg=lambda text, name=name: f"{name}: {text}", **tolerance
        )


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert_close(one, other, rtol=0, atol=0)


def test_helpers_say_the_same_on_both(ranks: list[dict[str, Any]]) -> None:
    for found in (rank["helpers"] for rank in ranks):
        assert found["uneven"].tolist() == [[0, 0], [1, 1], [1, 1]]
        assert found["empty"].tolist() == [[1, 1]]
        assert found["even"].tolist() == [0, 10, 1, 11]
        floats, numbers = found["rows"]
        assert floats.tolist() == [[[0.5], [0.5]], [[0.5], [0.5]], [[1.5], [1.5]], [[1.5], [1.5]]]
        assert numbers.tolist() == [0, -10, 1, -9]
        assert (floats.dtype, numbers.dtype) == (torch.float32, torch.int64)
        assert found["objects"] == [{"rank": 0}, {"rank": 1}]
        assert found["sum"].tolist() == [2, 1]
        assert found["mean"].tolist() == [1, 0.5]
        assert found["broadcast"].tolist() == [5]
        assert found["flags"] == [True, False, True]
        assert found["meter"] == {"loss": 0.5, "some": 0.4}


def test_synchronised_norm_is_that_of_the_whole_batch(ranks: list[dict[str, Any]]) -> None:
    whole = through_norm(nn.BatchNorm2d(3), *norm_inputs())
    parts = [rank["norm"] for rank in ranks]
    for name in ("out", "x"):
        torch.testing.assert_close(torch.cat([part[name] for part in parts]), whole[name])
    for name in ("weight", "bias"):  # DDP averages; here each rank has its own part of the sum
        torch.testing.assert_close(parts[0][name] + parts[1][name], whole[name])
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        for part in parts:
            torch.testing.assert_close(part[name], whole[name])


def test_running_statistics_are_those_of_the_whole_batch(ranks: list[dict[str, Any]]) -> None:
    whole = statistics_of(uneven_batches())
    for rank in ranks:
        assert_close(rank["statistics"], whole, rtol=1e-6, atol=1e-6)
    assert_equal(ranks[0]["statistics"], ranks[1]["statistics"])
    assert torch.equal(whole["2.running_var"], network()[2].running_var)


def test_a_norm_that_is_used_twice_in_a_pass_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "world", lambda: 2)
    norm = nn.BatchNorm1d(3)
    statistics = RunningStatistics(norm)
    with pytest.raises(UserError, match=r"twice in a pass.*optim\.sync_bn=true"), statistics.combined():
        norm(norm(torch.randn(4, 3)))


def test_two_ranks_with_synchronised_norm_equal_one(
    folder: Path, ranks: list[dict[str, Any]], tmp_path: Path
) -> None:
    alone = trained(tmp_path, SYNCED, task)
    assert losses(folder, "synced") == pytest.approx(losses(tmp_path, "."), rel=1e-4)
    assert_close(ranks[0]["synced"], alone, rtol=1e-3, atol=1e-4)
    assert_equal(ranks[0]["synced"], ranks[1]["synced"])


def test_own_statistics_are_not_those_of_one_rank(folder: Path, ranks: list[dict[str, Any]]) -> None:
    assert losses(folder, "own")[:2] != pytest.approx(losses(folder, "synced")[:2], rel=1e-4)
    # All the same both end with the same weights, and the same running statistics.
    assert_equal(ranks[0]["own"], ranks[1]["own"])


def test_accumulation_on_two_ranks_equals_the_whole_step(folder: Path, ranks: list[dict[str, Any]]) -> None:
    assert losses(folder, "accumulated") == pytest.approx(losses(folder, "whole"), rel=1e-4)
    assert_close(ranks[0]["accumulated"], ranks[0]["whole"], rtol=1e-4, atol=1e-5)
    assert_equal(ranks[0]["accumulated"], ranks[1]["accumulated"])


def test_what_takes_no_part_stays_to_the_bit(ranks: list[dict[str, Any]]) -> None:
    start = HalfFrozen().state_dict()
    for rank in ranks:
        assert torch.equal(rank["frozen"]["second.weight"], start["second.weight"])
        assert not torch.equal(rank["frozen"]["body.5.weight"], start["body.5.weight"])


@pytest.mark.parametrize("kind", ["broken", "infinite"])
def test_one_ranks_loss_stops_both_in_the_same_step_and_names_its_videos(
    ranks: list[dict[str, Any]], kind: str
) -> None:
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(0)).tolist()
    first = order.index(7) // 6 * 6  # ranks take six each of the global twelve
    named = ", ".join(f"video {number}" for number in order[first : first + 6])
    for rank in ranks:
        assert rank[kind][0] == (
            f"the loss is not finite at step {first // 12 + 1}; videos of the batch: {named}"
        )
    # Neither has taken the step that the other has left out.
    assert_equal(ranks[0][kind][1], ranks[1][kind][1])


def test_one_ranks_signal_stops_both_and_the_run_goes_on_exactly(
    folder: Path, ranks: list[dict[str, Any]]
) -> None:
    assert ranks[0]["stopped"] == "signal to another rank: checkpoint after step 4"
    assert ranks[1]["stopped"] == "SIGTERM: checkpoint after step 4"
    for rank in ranks:
        assert_equal(rank["resumed"], ranks[0]["own"])
    assert figures(folder / "stopped") == figures(folder / "own")


def test_another_number_of_ranks_goes_on(folder: Path, ranks: list[dict[str, Any]]) -> None:
    assert "checkpoint after step 4" in ranks[0]["handed"]
    state = trained(folder / "handed", SYNCED, task, attempt=2)
    assert losses(folder, "handed") == pytest.approx(losses(folder, "synced"), rel=1e-4)
    assert_close(state, ranks[0]["synced"], rtol=1e-3, atol=1e-4)


def test_without_ranks_helpers_are_the_identity() -> None:
    x = torch.ones(2, 3)
    for helper in (dist.all_gather_cat, dist.all_reduce_sum, dist.all_reduce_mean, dist.broadcast):
        assert torch.equal(helper(x), x)
    assert dist.all_gather_object("a") == ["a"]
    assert dist.any_flags([True, False]) == [True, False]
    assert (dist.rank(), dist.world(), dist.is_main()) == (0, 1, True)
    dist.barrier()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WORLD_SIZE": "2", "RANK": "0"}, "LOCAL_RANK, MASTER_ADDR, MASTER_PORT not set"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE='two' in the environment is not a number"),
        (
            {"WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "x", "MASTER_PORT": "1"},
            "RANK=2 is not between 0 and WORLD_SIZE=2",
        ),
    ],
)
def test_setup_refuses(environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        dist.setup(Device.cpu)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_no_cpu() -> None:
    with pytest.raises(UserError, match="device=cuda but torch sees no GPU"):
        dist.setup(Device.cuda)
    assert dist.setup(Device.auto).device == torch.device("cpu")
    assert "RANK" not in os.environ


def deterministic(result: Path) -> None:
    """In a process of its own, which it changes for good: the settings, and what a stage's set-up leaves."""
    dist.setup(Device.cpu, deterministic=True)
    names = ("CUBLAS_WORKSPACE_CONFIG", "NCCL_ALGO", "NCCL_PROTO")
    found = {
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "warns": torch.is_deterministic_algorithms_warn_only_enabled(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        **{name: os.environ.get(name) for name in names},
    }
    torch.save(found, result)


def test_deterministic_settings(tmp_path: Path) -> None:
    assert run_one(deterministic, tmp_path / "found.pt") == 0
    assert torch.load(tmp_path / "found.pt") == {
        "algorithms": True,
        "warns": True,
        "cudnn": (True, False),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "NCCL_ALGO": "Ring",
        "NCCL_PROTO": "Simple",
    }
    assert not torch.are_deterministic_algorithms_enabled()
