"""Masks and mining against loops over single pairs."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from mvcgc.errors import UserError
from mvcgc.method.mining import (
    Ids,
    MethodConfig,
    Mining,
    Variant,
    guided,
    mine,
    other_view,
    relate,
    top_k,
    trained_views,
)

seeds = st.integers(0, 2**31)


def ids(rows: list[tuple[int, int, int]]) -> Ids:
    video, group, label = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).T
    return Ids(video, group, label)


def slow_top_k(similarity: list[float], k: int, eligible: list[bool]) -> set[int]:
    """Pick the best remaining entry, the earlier one of equals, k times."""
    left = [q for q, allowed in enumerate(eligible) if allowed]
    chosen: set[int] = set()
    while left and len(chosen) < k:
        best = left[0]
        for q in left:
            if similarity[q] > similarity[best]:
                best = q
        chosen.add(best)
        left.remove(best)
    return chosen


def sets(mask: torch.Tensor) -> list[set[int]]:
    return [set(row.nonzero().flatten().tolist()) for row in mask]


@settings(max_examples=100, deadline=None)
@given(seed=seeds, entries=st.integers(1, 8), k=st.integers(1, 10), levels=st.integers(1, 9))
def test_mining_is_what_the_loop_finds(seed: int, entries: int, k: int, levels: int) -> None:
    """Few levels of similarity make ties; k goes beyond the queue; keys may all be ineligible."""
    generator = torch.Generator().manual_seed(seed)
    sim_a, sim_b = (
        torch.randint(levels, (3, entries), generator=generator).double() / levels - 0.5 for _ in range(2)
    )
    eligible = torch.rand(3, entries, generator=generator) < 0.7
    expected = [
        [slow_top_k(sim[i].tolist(), k, eligible[i].tolist()) for i in range(3)] for sim in (sim_a, sim_b)
    ]
    assert sets(top_k(sim_a, k, eligible)) == expected[0]
    both = mine(sim_a, sim_b, k, Mining.intersection, eligible)
    either = mine(sim_a, sim_b, k, Mining.union, eligible)
    assert sets(both) == [a & b for a, b in zip(*expected, strict=True)]
    assert sets(either) == [a | b for a, b in zip(*expected, strict=True)]


def test_views_that_disagree_leave_an_empty_intersection() -> None:
    sim = torch.tensor([[0.9, 0.8, 0.1, 0.0]])
    eligible = torch.ones(1, 4, dtype=torch.bool)
    assert sets(mine(sim, -sim, 2, Mining.intersection, eligible)) == [set()]
    assert sets(mine(sim, -sim, 2, Mining.union, eligible)) == [{0, 1, 2, 3}]


def test_relations_by_hand() -> None:
    # video, group, label; sample 1 has no label, entry 4 is empty, entries 3 and 5 lack a group or a label.
    samples = ids([(10, 1, 7), (11, 2, -1)])
    entries = ids([(10, 1, 7), (12, 1, 7), (13, 3, 7), (11, -1, 8), (-1, -1, -1), (14, -1, -1)])
    relations = relate(samples, entries)
    assert relations.filled.tolist() == [True, True, True, True, False, True]
    assert sets(relations.sibling) == [{0, 1}, {3}]
    assert sets(relations.same_class) == [{0, 1, 2}, set()]
    assert sets(relations.labelled) == [{0, 1, 2, 3}, set()]
    assert sets(relations.eligible) == [{2, 3, 5}, {0, 1, 2, 5}]
    assert sets(relations.minable) == [set(), set()]  # one entry is still empty


def test_unknown_groups_do_not_make_siblings() -> None:
    relations = relate(ids([(1, -1, -1)]), ids([(2, -1, -1), (-1, -1, -1)]))
    assert sets(relations.sibling) == [set()]
    assert sets(relations.eligible) == [{0}]


def test_a_full_queue_is_mined() -> None:
    relations = relate(ids([(1, 1, 0)]), ids([(1, 1, 0), (2, 1, 0), (3, 2, 0)]))
    assert sets(relations.minable) == [{2}]


@pytest.fixture
def full() -> tuple[dict[str, torch.Tensor], Ids, Ids]:
    similarity = {
        "rgb": torch.tensor([[1.0, 0.9, 0.8, 0.2, 0.1]]),
        "mv": torch.tensor([[1.0, 0.1, 0.8, 0.9, 0.2]]),
    }
    # Entry 0 is a sibling and the nearest in both views.
    return similarity, ids([(0, 0, 5)]), ids([(1, 0, 5), (2, 2, 5), (3, 3, 6), (4, 4, 6), (5, 5, 5)])


@pytest.mark.parametrize(
    ("variant", "mining", "view", "expected"),
    [
        (Variant.infonce, Mining.union, "rgb", set()),
        (Variant.cmc, Mining.union, "rgb", set()),
        (Variant.uber, Mining.union, "rgb", {0, 1, 4}),
        (Variant.coclr, Mining.union, "rgb", {2, 3}),  # what motion finds
        (Variant.coclr, Mining.union, "mv", {1, 2}),  # what rgb finds
        (Variant.mvcgc, Mining.intersection, "rgb", {2}),
        (Variant.mvcgc, Mining.intersection, "mv", {2}),
        (Variant.mvcgc, Mining.union, "rgb", {1, 2, 3}),
    ],
)
def test_what_guides_each_variant(
    full: tuple[dict[str, torch.Tensor], Ids, Ids],
    variant: Variant,
    mining: Mining,
    view: str,
    expected: set[int],
) -> None:
    similarity, samples, entries = full
    method = MethodConfig(variant=variant, mining=mining, k=2)
    assert sets(guided(method, view, similarity, relate(samples, entries))) == [expected]


def test_nothing_is_mined_until_the_queue_is_full(full: tuple[dict[str, torch.Tensor], Ids, Ids]) -> None:
    similarity, samples, entries = full
    entries.video[4] = -1
    relations = relate(samples, entries)
    for variant in (Variant.coclr, Variant.mvcgc):
        method = MethodConfig(variant=variant, mining=Mining.union, k=2)
        assert sets(guided(method, "rgb", similarity, relations)) == [set()]
    assert sets(guided(MethodConfig(variant=Variant.uber), "rgb", similarity, relations)) == [{0, 1}]


def test_coclr_takes_turns_and_the_others_do_not() -> None:
    views = ("rgb", "mv")
    coclr = MethodConfig(variant=Variant.coclr, cycles=2)
    turns = [trained_views(coclr, views, epoch, 8) for epoch in range(8)]
    assert turns == [("rgb",)] * 2 + [("mv",)] * 2 + [("rgb",)] * 2 + [("mv",)] * 2
    uneven = [trained_views(MethodConfig(variant=Variant.coclr), views, epoch, 3) for epoch in range(3)]
    assert uneven == [("rgb",), ("rgb",), ("mv",)]
    for variant in set(Variant) - {Variant.coclr}:
        assert trained_views(MethodConfig(variant=variant), views, 0, 1) == views


def test_other_view() -> None:
    assert other_view("rgb", ("rgb", "mv")) == "mv"
    assert other_view("mv", ("rgb", "mv")) == "rgb"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k", 0),
        ("queue", 0),
        ("dim", 0),
        ("cycles", 0),
        ("tau", 0.0),
        ("tau", float("nan")),
        ("momentum", 1.0),
    ],
)
def test_impossible_settings_are_named(key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"method\.{key}={value}"):
        MethodConfig(**{key: value})
