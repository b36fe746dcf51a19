"""Samplers: what each rank gets at each step."""

from itertools import chain
from pathlib import Path

import pytest
from data_factories import STRONG, make_manifest

from mvcgc.data.clips.dataset import DrawDataset, Source, WindowDataset
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.clips.sampler import EpochSampler, WindowSampler, check_batch, shard
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig, permutation
from mvcgc.errors import UserError


def global_batches(world: int, accumulate: int = 1, epoch: int = 3, step: int = 0) -> list[list[int]]:
    """The videos of each optimiser step, rank after rank, micro-batch after micro-batch."""
    micro = []
    for rank in range(world):
        sampler = EpochSampler(30, 12, seed=5, rank=rank, world=world, accumulate=accumulate)
        sampler.set_position(epoch, step)
        micro.append(list(sampler))
        assert all(e == epoch for keys in micro[-1] for e, _ in keys)
    steps = [list(chain.from_iterable(keys)) for keys in zip(*micro, strict=True)]
    joined = [list(chain.from_iterable(steps[i : i + accumulate])) for i in range(0, len(steps), accumulate)]
    return [[index for _, index in keys] for keys in joined]


def test_steps_take_the_permutation_in_order_and_drop_the_rest() -> None:
    order = permutation(5, 3, 30)
    assert global_batches(1) == [order[:12], order[12:24]]


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (3, 1), (1, 4), (2, 3), (4, 3)])
def test_ranks_and_accumulation_share_the_same_global_batches(world: int, accumulate: int) -> None:
    assert global_batches(world, accumulate) == global_batches(1)


def test_a_position_is_gone_on_from() -> None:
    assert global_batches(2, 3, step=1) == global_batches(1)[1:]
    assert global_batches(1, step=2) == []


def test_every_epoch_has_its_own_order_and_can_be_gone_back_to() -> None:
    assert global_batches(1, epoch=0) != global_batches(1, epoch=1)
    assert global_batches(1, epoch=0) == global_batches(1, epoch=0)


def test_lengths_are_of_whole_epochs() -> None:
    sampler = EpochSampler(30, 12, seed=0, accumulate=3)
    sampler.set_position(0, 1)
    assert (sampler.steps_per_epoch, len(sampler)) == (2, 6)


@pytest.mark.parametrize(
    ("batch_size", "world", "message"),
    [
        (
            31,
            1,
            "optim.batch_size=31: larger than the 30 videos to train on; set optim.batch_size to 30 or less",
        ),
        (0, 1, "optim.batch_size=0: a batch has at least 1 video"),
        (10, 4, "optim.batch_size=10: cannot be shared evenly over 4 ranks x 1 .*; use a multiple of 4"),
    ],
)
def test_batches_that_cannot_be_made_are_refused(batch_size: int, world: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        EpochSampler(30, batch_size, seed=0, world=world, key="optim.batch_size")


def test_check_batch_takes_what_fits() -> None:
    check_batch(30, 30, "batch_size")


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_shards_are_a_partition(world: int) -> None:
    shards = [shard(5, rank, world) for rank in range(world)]
    assert sorted(chain.from_iterable(shards)) == list(range(5))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    manifest = make_manifest(tmp_path_factory.mktemp("videos"), 6)
    return Source(manifest, [5, 0, 3, 1], built_in("rgb"), ClipConfig(8, 16), MotionConfig(8, 16))


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [1, 10, 25])
def test_a_test_shows_every_window_of_every_video_exactly_once(source: Source, world: int, rows: int) -> None:
    for dataset in (
        WindowDataset(source, crops=10, rows_per_item=rows),
        WindowDataset(source, crops=1, rows_per_item=rows),
        DrawDataset(source, STRONG, seed=0, draws=5, rows_per_item=rows),
    ):
        expected = sorted(
            (index, place)
            for index in range(len(dataset))
            for _, places in dataset.plan(index)
            for place in places
        )
        shown, owners = [], {}
        for rank in range(world):
            for batch in WindowSampler(dataset, rows, rank, world):
                assert len(batch) == 1 or sum(dataset.rows(item) for item in batch) <= rows
                for index, places in batch:
                    shown += [(index, place) for place in places]
                    owners.setdefault(index, set()).add(rank)
        assert sorted(shown) == expected
        assert all(len(ranks) == 1 for ranks in owners.values())


def test_windows_of_the_plan_cover_the_video(source: Source) -> None:
    frames = source.video(0).info.frames
    assert frames == 25
    assert WindowDataset(source, crops=1, rows_per_item=4).plan(0) == [
        (0, (0, 3, 6, 9)),
        (0, (12, 15, 17)),
    ]
    assert WindowDataset(source, crops=1, most_windows=1).plan(0) == [(0, (9,))]


def test_draws_of_the_plan_are_epochs(source: Source, tmp_path: Path) -> None:
    dataset = DrawDataset(source, STRONG, seed=0, draws=5, rows_per_item=2)
    assert dataset.plan(3) == [(3, (0, 1)), (3, (2, 3)), (3, (4,))]
