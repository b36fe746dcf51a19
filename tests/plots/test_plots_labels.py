"""Labels apart from each other."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mvcgc.plots.labels import Anchor, Box, place, spread

ROOM = Box(0.0, 0.0, 200.0, 100.0)
POSITIONS = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(POSITIONS)
def test_spread_keeps_order_gap_and_bounds(wanted: list[float]) -> None:
    found = spread(wanted, 0.15, 0.0, 1.0)
    assert all(-1e-9 <= place_ <= 1 + 1e-9 for place_ in found)
    pairs = sorted(zip(wanted, found, strict=True))
    for (before, low), (after, high) in itertools.pairwise(pairs):
        assert high - low >= 0.15 - 1e-9 or before == after
    ordered = sorted(found)
    assert all(high - low >= 0.15 - 1e-9 for low, high in itertools.pairwise(ordered))


def test_spread_moves_as_little_as_it_can() -> None:
    wanted = [0.2, 0.22, 0.9, 0.25, 0.91]
    found = spread(wanted, 0.1, 0.0, 1.0)
    order = sorted(range(5), key=lambda index: wanted[index])
    gaps = [
        {"type": "ineq", "fun": lambda x, low=low, high=high: x[high] - x[low] - 0.1}
        for low, high in itertools.pairwise(order)
    ]
    best = minimize(
        lambda x: sum((a - b) ** 2 for a, b in zip(x, wanted, strict=True)),
        wanted,
        bounds=[(0, 1)] * 5,
        constraints=gaps,
    )
    assert found == pytest.approx(best.x, abs=1e-4)


def test_what_is_apart_already_stays() -> None:
    assert spread([0.1, 0.9, 0.5], 0.2, 0.0, 1.0) == pytest.approx([0.1, 0.9, 0.5])


def test_labels_lie_neither_on_each_other_nor_on_discs_nor_outside() -> None:
    room = Box(0.0, 0.0, 400.0, 250.0)
    anchors = [Anchor(200.0 + 12 * n, 120.0 + 7 * (n % 3), 5.0 + n, 70.0, 11.0) for n in range(8)]
    boxes = place(anchors, room)
    for one, other in itertools.combinations(boxes, 2):
        assert one.shared(other) == 0
    for box in boxes:
        assert box.shared(room) == pytest.approx(box.area)
        assert all(box.shared(anchor.box) == 0 for anchor in anchors)


def test_a_label_keeps_off_obstacles() -> None:
    anchor = Anchor(50.0, 50.0, 4.0, 40.0, 10.0)
    free = place([anchor], ROOM)[0]
    assert free.left > anchor.x
    moved = place([anchor], ROOM, [Box(52.0, 0.0, 200.0, 100.0)])[0]
    assert moved.shared(Box(52.0, 0.0, 200.0, 100.0)) == 0
