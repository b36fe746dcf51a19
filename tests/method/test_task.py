"""Every method learns; what a step does to twins and queue; resumed and shared out it stays the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pretrain_factories import (
    COMMON,
    METHOD,
    OPTIM,
    SYNCED,
    TURNED,
    TURNS,
    Loader,
    OneView,
    both_ranks,
    contrast,
    interrupted,
    mixture,
    pretrain,
    seen,
)
from real_processes import on_two_ranks
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mvcgc import dist
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.inputs import Inputs
from mvcgc.method import coclr
from mvcgc.method.base import MethodConfig
from mvcgc.method.cmc import CMC
from mvcgc.method.infonce import InfoNCE
from mvcgc.method.mvcgc import Mining
from mvcgc.method.task import Contrast
from mvcgc.method.uber import UberNCE
from mvcgc.runs import journal
from mvcgc.train import Amp, Checkpoints, NoJournal, OptimKind, Session, StopFlag
from mvcgc.train.loop import step
from mvcgc.train.state import TrainState

TIMING = {"clips_per_s", "data_wait"}


def lines(folder: Path) -> dict[str, list[float]]:
    points = journal.read(folder / "journal").points
    return {name: [point.value for point in line] for name, line in points.items() if name not in TIMING}


METHODS = {
    "infonce": InfoNCE.Config(**COMMON),
    "cmc": CMC.Config(**COMMON),
    "coclr": TURNS,
    "intersection": replace(METHOD, mining=Mining.intersection),
    "union": METHOD,
    "uber": UberNCE.Config(**COMMON),
}


@pytest.mark.parametrize("name", METHODS)
def test_method_lowers_its_loss(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The own pair changes the level of the loss: it counts in all steps here, not in 10 % of them.
    monkeypatch.setattr(coclr, "OWN_PAIR", 1.0)
    method = METHODS[name]
    pretrain(tmp_path, contrast(method))
    found = lines(tmp_path)
    views = {"acc_rgb"} if name == "coclr" else {"acc_rgb", "acc_mv"}
    full = found["queue_fill"].index(1.0)
    loss = found["loss"][full:]
    if name == "coclr":  # after half of the epochs the other view has its turn, with an empty queue
        loss = loss[: 9 - full]
        assert found["queue_fill"][9] == 0
        assert "acc_mv" in found
    else:
        assert views <= set(found)
    assert sum(loss[-3:]) < 0.8 * sum(loss[:3])
    mined = found["mined"]
    if name in ("infonce", "cmc"):
        assert set(mined) == {0.0}
    elif name == "uber":
        assert min(mined[full:]) > 2
    else:
        assert mined[0] == 0, "nothing is mined before the queue is full"
        assert 0 < max(mined) <= 2 * method.k


def same(one: dict[str, Tensor], other: dict[str, Tensor], **tolerance: float) -> None:
    """All tensors equal, to the bit unless a tolerance is given."""
    assert list(one) == list(other)
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], **(tolerance or {"rtol": 0, "atol": 0}), msg=name)


def state(task: Contrast) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in task.state_dict().items()}


def test_one_view_alone(tmp_path: Path) -> None:
    method = METHODS["infonce"]
    figures = pretrain(tmp_path, contrast(method, views=("rgb",)), loader=OneView(OPTIM))
    assert {"loss", "acc_rgb", "mined", "queue_fill"} <= set(figures)
    assert "acc_mv" not in figures
    assert figures["acc_rgb"] > 0.3


def test_a_step_moves_twins_then_keys_enter_in_the_batchs_order() -> None:
    task = contrast()
    loader = Loader(OPTIM)
    batch = next(loader.epoch(0, 0))
    model = task.model
    task.train()
    task.start_epoch(0, 0)
    with torch.no_grad():
        for parameter in model.pair("mv").query.parameters():
            parameter.add_(0.1)  # as an optimiser would
    before = state(task)
    with torch.no_grad():
        mv = model.pair("mv").key(Inputs(built_in("rgb", "mv"))(batch)["mv"][:, 1])
    model.load_state_dict({name.removeprefix("model."): value for name, value in before.items()})
    task(batch)
    assert model.queue.cursor == 0, "nothing enters before the step is over"
    task.finish_step()
    torch.testing.assert_close(model.queue.entries()["mv"][:8], mv)
    assert model.queue.video[:8].tolist() == batch.video.tolist()
    assert model.queue.group[:8].tolist() == batch.group.tolist()
    assert model.queue.label[:8].tolist() == batch.label.tolist()
    assert model.queue.video[8:].tolist() == [-1] * 8
    name = "backbone.layers.0.weight"
    key, query = (before[f"model.pairs.mv.{which}.{name}"] for which in ("key", "query"))
    torch.testing.assert_close(model.pair("mv").key.state_dict()[name], 0.9 * key + 0.1 * query)


def test_evaluation_changes_nothing() -> None:
    task = contrast()
    batch = next(Loader(OPTIM).epoch(0, 0))
    task.eval()
    before = state(task)
    with torch.no_grad():
        first, second = task(batch)[0], task(batch)[0]
    assert first == second
    task.train()
    task.finish_step()
    assert task.model.queue.cursor == 0
    same(
        {k: v for k, v in state(task).items() if "queue" in k},
        {k: v for k, v in before.items() if "queue" in k},
    )


def test_micro_batches_see_the_same_queue_and_twins(tmp_path: Path) -> None:
    ends = []
    for accumulate in (1, 4):
        optim = replace(OPTIM, kind=OptimKind.sgd, lr=0.05, epochs=2, accumulate=accumulate)
        task = contrast(optim=optim, norm=False)
        pretrain(tmp_path / str(accumulate), task, optim)
        ends.append(dict(task.state_dict()))
    same(*ends, rtol=1e-3, atol=1e-5)
    one, four = lines(tmp_path / "1"), lines(tmp_path / "4")
    assert max(one["mined"]) > 0
    for name in ("loss", "mined", "acc_rgb", "acc_mv", "queue_fill"):
        assert four[name] == pytest.approx(one[name], rel=1e-3), name


@pytest.mark.parametrize("method", [METHOD, TURNS], ids=["mvcgc", "coclr"])
def test_resume_in_the_middle_of_an_epoch_is_exact(tmp_path: Path, method: MethodConfig) -> None:
    whole, resumed = contrast(method, TURNED), contrast(method, TURNED)
    pretrain(tmp_path / "whole", whole, TURNED)
    interrupted(tmp_path / "parts", contrast(method, TURNED), TURNED, at=(1, 0))
    pretrain(tmp_path / "parts", resumed, TURNED, attempt=2)
    same(dict(resumed.state_dict()), dict(whole.state_dict()))
    found = lines(tmp_path / "whole")
    assert repr(lines(tmp_path / "parts")) == repr(found)  # to the bit, and NaN is NaN
    assert found["queue_fill"] == pytest.approx(
        [0, 0.5, 1, 0, 0.5, 1] if method is TURNS else [0, 0.5, 1, 1, 1, 1]
    )


class HostReads(TorchDispatchMode):
    """Counts what would make the host wait for a GPU: reading a value, or a shape that depends on values."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.WAITING:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("amp", [Amp.none, Amp.fp16])
@pytest.mark.parametrize("name", METHODS)
def test_a_step_reads_nothing_but_the_step_before(tmp_path: Path, name: str, amp: Amp) -> None:
    optim = replace(OPTIM, amp=amp)
    task = contrast(METHODS[name], optim)
    session = Session(
        "cross",
        dist.Dist(0, 1, 0, torch.device("cpu")),
        NoJournal(),
        Checkpoints(tmp_path),
        StopFlag(),
        checkpoint_every_s=1e6,
    )
    train_state = TrainState.build(task, optim, 3, torch.device("cpu"))
    task.start_epoch(0, 0)
    batches = Loader(optim).epoch(0, 0)
    for expected in ([], ["_local_scalar_dense"], ["_local_scalar_dense"]):
        with HostReads() as reads:
            step(train_state, batches, optim, session)
        assert reads.found == expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    """What each of two ranks has found."""
    return on_two_ranks(both_ranks, folder)


def test_two_ranks_with_synchronised_norm_equal_one(
    folder: Path, ranks: list[dict[str, Any]], tmp_path: Path
) -> None:
    alone = contrast(optim=SYNCED)
    pretrain(tmp_path, alone, SYNCED)
    one, two = lines(tmp_path), lines(folder / "synced")
    for name in ("loss", "mined", "mined_precision", "acc_rgb", "acc_mv", "queue_fill"):
        assert two[name] == pytest.approx(one[name], rel=1e-3, nan_ok=True), name
    same(ranks[0]["synced"], ranks[1]["synced"])
    same(ranks[0]["synced"], dict(alone.state_dict()), rtol=1e-2, atol=1e-4)


def test_a_shuffled_sample_keeps_its_colour_matrix_and_its_draws(ranks: list[dict[str, Any]]) -> None:
    whole = seen(mixture().clip(1))
    for number, rank in enumerate(ranks):
        order, inputs = rank["shuffled"]
        own = order[4 * number : 4 * number + 4]
        assert {sample // 4 for sample in own.tolist()} == {0, 1}
        for view, clips in inputs.items():
            torch.testing.assert_close(clips, whole[view][own], msg=view)


def test_coclr_freezes_the_other_view_on_all_ranks(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        same(rank["end"], ranks[0]["end"])
        start, half, end = rank["start"], rank["half"], rank["end"]
        weight = "model.pairs.{}.query.backbone.layers.0.weight"
        # First rgb learns, then mv; what does not learn stays to the bit, statistics included.
        assert not torch.equal(start[weight.format("rgb")], half[weight.format("rgb")])
        assert not torch.equal(half[weight.format("mv")], end[weight.format("mv")])
        same(*({k: v for k, v in part.items() if ".mv." in k} for part in (start, half)))
        same(*({k: v for k, v in part.items() if ".rgb.query" in k} for part in (half, end)))
        for name, value in end.items():
            if ".rgb.query" in name:  # the twin has caught up when the turn ended
                assert torch.equal(end[name.replace("query", "key")], value)
