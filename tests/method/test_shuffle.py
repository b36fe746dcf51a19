"""Batch shuffling on two real ranks, against one process that does everything by hand."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from real_processes import on_two_ranks
from torch.nn.parallel import DistributedDataParallel

from mvcgc import dist
from mvcgc.method.base import MethodConfig
from mvcgc.method.momentum import ContrastModel
from mvcgc.method.shuffle import Shuffle
from mvcgc.models.s3d import S3D

WORLD, PER_RANK, SEED = 2, 4, 3
TRAINED = ("rgb", "mv")


def model() -> ContrastModel:
    torch.manual_seed(0)
    return ContrastModel({"rgb": 3, "mv": 2}, S3D.Config(width=0.0625), MethodConfig(queue=8, dim=8))


def clips() -> dict[str, torch.Tensor]:
    """The global batch; each rank's share has a mean of its own, which batch norm would notice."""
    generator = torch.Generator().manual_seed(1)
    offset = torch.arange(WORLD).repeat_interleave(PER_RANK).view(-1, 1, 1, 1, 1)
    return {
        view: torch.randn(WORLD * PER_RANK, channels, 8, 32, 32, generator=generator) * (1 + offset) + offset
        for view, channels in (("rgb", 3), ("mv", 2))
    }


def one_rank(folder: Path) -> dict[str, Any]:
    warnings.simplefilter("error")
    share = slice(dist.rank() * PER_RANK, (dist.rank() + 1) * PER_RANK)
    seen: dict[str, Any] = {"shuffled": [], "restored": []}
    for seed, dtype in ((0, torch.float32), (1, torch.bfloat16), (2, torch.uint8)):
        local = torch.arange(WORLD * PER_RANK)[share, None].repeat(1, 3).to(dtype)
        shuffle = Shuffle.draw(seed, PER_RANK)
        shuffled = shuffle.apply(local)
        seen["shuffled"].append(shuffled)
        back = shuffle.restore(dist.all_gather_cat(shuffled))
        seen["restored"].append(torch.equal(back[share], local))
    contrast = model()
    local_clips = {view: clip[share] for view, clip in clips().items()}
    shuffle = Shuffle.draw(SEED, PER_RANK)
    keys = contrast.keys({view: shuffle.apply(clip) for view, clip in local_clips.items()}, TRAINED)
    seen["keys"] = {view: shuffle.restore(dist.all_gather_cat(key)) for view, key in keys.items()}
    spread = DistributedDataParallel(contrast)
    queries = spread(local_clips, TRAINED)
    torch.stack([query[:, 0].mean() for query in queries.values()]).sum().backward()
    return seen | {"gradients": [parameter.grad for parameter in contrast.parameters()]}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return on_two_ranks(one_rank, tmp_path_factory.mktemp("ranks"))


def test_shuffling_permutes_the_global_batch_and_is_undone(ranks: list[dict[str, Any]]) -> None:
    orders = []
    for case in range(3):
        positions = torch.cat([rank["shuffled"][case] for rank in ranks])[:, 0].long()
        assert sorted(positions.tolist()) == list(range(WORLD * PER_RANK))
        generator = torch.Generator().manual_seed(case)
        expected = torch.randperm(WORLD * PER_RANK, generator=generator)
        assert torch.equal(positions, expected)
        orders.append(positions.tolist())
    assert all(restored for rank in ranks for restored in rank["restored"])
    assert orders[0] != orders[1] != orders[2]


def test_key_batches_mix_the_ranks(ranks: list[dict[str, Any]]) -> None:
    order = torch.randperm(WORLD * PER_RANK, generator=torch.Generator().manual_seed(SEED))
    assert {sample // PER_RANK for sample in order[:PER_RANK].tolist()} == {0, 1}
    for view, clip in clips().items():
        encoder = model().pair(view).key
        with torch.no_grad():
            mixed = torch.cat([encoder(clip[samples]) for samples in order.split(PER_RANK)])[order.argsort()]
            apart = torch.cat([encoder(share) for share in clip.split(PER_RANK)])
        keys = ranks[0]["keys"][view]
        assert torch.equal(keys, ranks[1]["keys"][view])
        torch.testing.assert_close(keys, mixed, rtol=1e-4, atol=1e-5)
        assert (keys - apart).abs().max() > 0.01


def test_gradients_are_those_of_the_ranks_together(ranks: list[dict[str, Any]]) -> None:
    contrast, whole = model(), clips()
    for rank in range(WORLD):
        share = {view: clip[rank * PER_RANK : (rank + 1) * PER_RANK] for view, clip in whole.items()}
        queries = contrast(share, TRAINED)
        (torch.stack([query[:, 0].mean() for query in queries.values()]).sum() / WORLD).backward()
    names = [name for name, _ in contrast.named_parameters()]
    for name, parameter, *parts in zip(
        names, contrast.parameters(), *(rank["gradients"] for rank in ranks), strict=True
    ):
        if ".key." in name:
            assert parameter.grad is None
            assert parts == [None, None]
        else:
            assert torch.equal(parts[0], parts[1]), name
            scale = parameter.grad.abs().max().item()
            torch.testing.assert_close(parts[0], parameter.grad, rtol=1e-3, atol=1e-3 * scale + 1e-7)


def test_one_process_has_nothing_to_mix() -> None:
    local = torch.randn(5, 2)
    shuffle = Shuffle.draw(seed=0, per_rank=5)
    assert shuffle.apply(local) is local
    assert shuffle.restore(local) is local


def test_a_wrong_batch_is_noticed() -> None:
    with pytest.raises(AssertionError, match="3 samples on rank 0, 2 expected"):
        Shuffle(torch.arange(4), rank=0, world=2).apply(torch.zeros(3, 1))
