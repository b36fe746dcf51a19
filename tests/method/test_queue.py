"""The queue against a plain list, whatever the batches."""

from collections import deque

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from mvcgc.method.mining import Ids
from mvcgc.method.queue import KeyQueue


def batch(start: int, size: int) -> tuple[dict[str, torch.Tensor], Ids]:
    """Keys and ids that tell which sample they are of."""
    number = torch.arange(start, start + size)
    keys = {view: number[:, None].repeat(1, 3) + offset for view, offset in (("rgb", 0.25), ("mv", 0.5))}
    return keys, Ids(number, number * 10, number * 100)


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 9), batches=st.lists(st.integers(1, 12), max_size=6))
def test_queue_keeps_the_last_keys_aligned(size: int, batches: list[int]) -> None:
    queue, expected, count = KeyQueue(("rgb", "mv"), size, 3), deque[int](maxlen=size), 0
    for length in batches:
        queue.enqueue(*batch(count, length))
        expected.extend(range(count, count + length))
        count += length
    assert sorted(queue.video[queue.video >= 0].tolist()) == list(expected)
    assert bool(queue.full) == (count >= size)
    keys = queue.entries()
    for entry, video in enumerate(queue.ids.video.tolist()):
        if video >= 0:
            assert video % size == entry
            assert (keys["rgb"][entry] == video + 0.25).all()
            assert (keys["mv"][entry] == video + 0.5).all()
            assert (queue.ids.group[entry], queue.ids.label[entry]) == (video * 10, video * 100)
        else:
            assert queue.ids.group[entry] == queue.ids.label[entry] == -1


def test_a_saved_queue_goes_on_where_it_was() -> None:
    queue, other = (KeyQueue(("rgb", "mv"), 5, 3) for _ in range(2))
    queue.enqueue(*batch(0, 7))
    other.load_state_dict(queue.state_dict())
    for each in (queue, other):
        each.enqueue(*batch(7, 2))
    for name, value in queue.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_entries_are_no_copies_and_a_backward_pass_too_late_is_refused() -> None:
    queue = KeyQueue(("rgb", "mv"), 4, 3)
    queue.enqueue(*batch(0, 4))
    assert queue.entries()["mv"].untyped_storage().data_ptr() == queue.keys.untyped_storage().data_ptr()
    query = torch.ones(1, 3, requires_grad=True)
    (query @ queue.entries()["mv"].T).sum().backward()
    assert query.grad is not None
    assert query.grad[0, 0] == sum(video + 0.5 for video in range(4))
    loss = (query @ queue.entries()["mv"].T).sum()
    queue.enqueue(*batch(4, 4))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_cleared_queue_is_like_new() -> None:
    queue = KeyQueue(("rgb", "mv"), 4, 3)
    queue.enqueue(*batch(0, 6))
    queue.clear()
    for name, value in KeyQueue(("rgb", "mv"), 4, 3).state_dict().items():
        assert torch.equal(value, queue.state_dict()[name]), name
