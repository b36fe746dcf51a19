"""The losses against sums written from the paper's equations, in float64."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from mvcgc.method.nce import multi_nce, nce_logits


def slow_multi_nce(logits: list[float], positives: list[bool], candidates: list[bool]) -> float:
    """Equation 4, one direction, one sample."""
    above = below = 0.0
    for logit, positive, candidate in zip(logits, positives, candidates, strict=True):
        if candidate:
            below += math.exp(logit)
        if positive:
            above += math.exp(logit)
    return -math.log(above / below)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-15, 15), st.sampled_from(["positive", "negative", "absent"])),
        min_size=0,
        max_size=12,
    )
)
def test_multi_nce_is_equation_4(rest: list[tuple[float, str]]) -> None:
    logits = [1.5] + [logit for logit, _ in rest]
    positives = [True] + [role == "positive" for _, role in rest]
    candidates = [True] + [role != "absent" for _, role in rest]
    loss = multi_nce(
        torch.tensor([logits], dtype=torch.float64), torch.tensor([positives]), torch.tensor([candidates])
    )
    assert loss.item() == pytest.approx(slow_multi_nce(logits, positives, candidates), abs=1e-12)
    assert loss.item() >= -1e-12


def test_one_positive_is_cross_entropy() -> None:
    logits = torch.randn(6, 9, dtype=torch.float64)
    first = torch.zeros(6, 9, dtype=torch.bool)
    first[:, 0] = True
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(6, dtype=torch.int64), reduction="none")
    torch.testing.assert_close(multi_nce(logits, first, torch.ones_like(first)), expected)


def test_only_positives_cost_nothing_and_pull_nowhere() -> None:
    logits = (20 * torch.randn(4, 7)).requires_grad_()
    everything = torch.ones(4, 7, dtype=torch.bool)
    loss = multi_nce(logits, everything, everything)
    assert torch.equal(loss, torch.zeros(4))
    loss.sum().backward()
    assert torch.equal(logits.grad, torch.zeros(4, 7))


def test_absent_keys_get_no_gradient_and_no_nan() -> None:
    logits = torch.tensor([[1.0, torch.inf, 3.0], [1.0, -torch.inf, 2.0]], requires_grad=True)
    positives = torch.tensor([[True, False, False]] * 2)
    candidates = torch.tensor([[True, False, True]] * 2)
    loss = multi_nce(logits, positives, candidates)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert torch.equal(logits.grad[:, 1], torch.zeros(2))
    torch.testing.assert_close(logits.grad.sum(dim=1), torch.zeros(2))


def test_logits_are_cosines_over_temperature() -> None:
    query, own, queue = (torch.randn(size, 5, dtype=torch.float64) for size in (3, 3, 4))
    logits = nce_logits(query, own, queue, tau=0.07)
    for i in range(3):
        assert logits[i, 0].item() == pytest.approx(sum(query[i] * own[i]).item() / 0.07)
        for q in range(4):
            assert logits[i, 1 + q].item() == pytest.approx(sum(query[i] * queue[q]).item() / 0.07)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_does_not_reach_the_losses(dtype: torch.dtype) -> None:
    query, own, queue = (torch.nn.functional.normalize(torch.randn(size, 32), dim=1) for size in (8, 8, 64))
    expected = nce_logits(query, own, queue, 0.07)
    first = torch.zeros(8, 65, dtype=torch.bool)
    first[:, 0] = True
    with torch.autocast("cpu", dtype):
        logits = nce_logits(query, own, queue, 0.07)
        loss = multi_nce(logits, first, torch.ones_like(first))
        low = multi_nce(logits.to(dtype), first, torch.ones_like(first))
    assert logits.dtype == loss.dtype == low.dtype == torch.float32
    assert torch.equal(logits, expected)
    assert torch.equal(loss, multi_nce(expected, first, torch.ones_like(first)))
