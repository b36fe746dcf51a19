"""The model of scaling against sums done by hand."""

import pytest

from mvcgc.bench.pretrain_step import Setting
from mvcgc.bench.scale import PAPER, step_flops
from mvcgc.bench.scaling_model import Network, Step, fit
from mvcgc.models.s3d import S3D

NETWORK = Network(latency_s=1e-3, bandwidth=1e6)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("gradients", 6e-3 + 1.5),  # 4 ranks: 6 messages, and 6 quarters of the megabyte
        ("gather", 3e-3 + 3.0),  # the other three's
        ("shuffle", 3e-3 + 0.75),  # three quarters go elsewhere
    ],
)
def test_seconds_of_each_kind(kind: str, expected: float) -> None:
    assert NETWORK.seconds(kind, 1e6, 4) == pytest.approx(expected)
    assert NETWORK.seconds(kind, 1e6, 1) == 0


def test_a_fit_finds_the_network_that_made_the_timings() -> None:
    sums = {
        ranks: {size: NETWORK.seconds("gradients", float(size), ranks) for size in (10, 1000, 100_000)}
        for ranks in (2, 4)
    }
    found = fit(sums)
    assert found.latency_s == pytest.approx(NETWORK.latency_s)
    assert found.bandwidth == pytest.approx(NETWORK.bandwidth)


def test_gradients_hide_behind_the_backward_pass_but_for_their_last_bucket() -> None:
    step = Step(compute_s=2.0, backward_share=0.5, bytes={"gradients": 2e6, "shuffle": 1e6}, buckets=2)
    bucket = NETWORK.seconds("gradients", 1e6, 2)  # 1.002 s, of which the backward pass hides 1
    shuffle = NETWORK.seconds("shuffle", 1e6, 2)
    assert step.seconds(NETWORK, 2, overlap=False) == pytest.approx(2 + shuffle + 2 * bucket)
    assert step.seconds(NETWORK, 2, overlap=True) == pytest.approx(2 + shuffle + bucket + bucket - 1)
    assert step.efficiency(NETWORK, [1, 2], overlap=True)[0] == 1
    apart, together = (step.efficiency(NETWORK, [2, 4, 8], overlap) for overlap in (False, True))
    assert all(one < other for one, other in zip(apart, together, strict=True))
    assert together == sorted(together, reverse=True)


def test_operations_of_the_papers_step() -> None:
    """S3D on 64 x 224 x 224 is published with 71.4 G multiply-adds; a step is eight passes' worth of them."""
    expected = PAPER.batch * 8 * 2 * 71.4e9 / 2 / (224 / 128) ** 2
    assert step_flops(Setting("cross", S3D.Config(), PAPER)) == pytest.approx(expected, rel=0.1)
