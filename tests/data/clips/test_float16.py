"""float16 by whole numbers, against numpy's own conversion."""

import numpy as np
import pytest

from mvcgc.data.clips import float16

ONE = np.ones(2, np.float32)


def finite() -> np.ndarray:
    """Every finite float16, both zeros included."""
    every = np.arange(1 << 16).astype(np.uint16).view(np.float16)
    return every[np.isfinite(every)].astype(np.float32)


def same(values: np.ndarray, scale: np.ndarray = ONE) -> bool:
    vectors = np.stack([values, values[::-1]], -1)
    ours, theirs = float16.scaled(vectors, scale), (vectors * scale).astype(np.float16)
    return np.array_equal(ours.view(np.uint16), theirs.view(np.uint16))


def test_every_value() -> None:
    assert same(finite())


def test_ties_go_to_the_even_one_and_the_rest_to_the_nearest() -> None:
    every = np.sort(finite())
    middle = (every[:-1] + every[1:]) / 2
    assert same(middle)
    normal = middle[np.abs(middle) > 2.0**-14]
    assert same(np.nextafter(normal, np.float32(np.inf)))
    assert same(np.nextafter(normal, np.float32(-np.inf)))


@pytest.mark.parametrize("size", [0.01, 1, 50, 1000])
def test_products(size: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.normal(0, size, 1000).astype(np.float32)
        assert same(values, rng.uniform(0.05, 4, 2).astype(np.float32))


def test_what_is_too_large_becomes_the_largest() -> None:
    found = float16.scaled(np.array([[65519, 65520], [1e9, -1e9]], np.float32), ONE)
    assert found.tolist() == [[65504, 65504], [65504, -65504]]
