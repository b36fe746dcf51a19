"""Labels apart from each other."""

import itertools

import pytest

from mvcgc.plots.labels import Anchor, Box, place

ROOM = Box(0.0, 0.0, 200.0, 100.0)


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
