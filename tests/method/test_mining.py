"""Relations and the nearest keys against loops over single pairs."""

import hypothesis.strategies as st
import torch
from hypothesis import given, settings

from mvcgc.method.mining import Ids, relate, top_k

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
def test_top_k_is_what_the_loop_finds(seed: int, entries: int, k: int, levels: int) -> None:
    """Few levels of similarity make ties; k goes beyond the queue; keys may all be ineligible."""
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.randint(levels, (3, entries), generator=generator).double() / levels - 0.5
    eligible = torch.rand(3, entries, generator=generator) < 0.7
    expected = [slow_top_k(similarity[i].tolist(), k, eligible[i].tolist()) for i in range(3)]
    assert sets(top_k(similarity, k, eligible)) == expected


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
