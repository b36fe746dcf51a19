"""Coarser motion cells."""

import numpy as np
import pytest

from mvcgc.video import MotionField, pool


def slow_pool(mv: np.ndarray, valid: np.ndarray, cell: int) -> tuple[np.ndarray, np.ndarray]:
    n = cell // 8
    frames, h, w = valid.shape
    out = np.zeros((frames, -(-h // n), -(-w // n), 2))
    known = np.zeros(out.shape[:3], bool)
    for t, i, j in np.ndindex(known.shape):
        members = [
            mv[t, a, b]
            for a in range(i * n, min(i * n + n, h))
            for b in range(j * n, min(j * n + n, w))
            if valid[t, a, b]
        ]
        if members:
            out[t, i, j], known[t, i, j] = np.mean(members, 0), True
    return out, known


@pytest.mark.parametrize("cell", [8, 16, 24, 32, 128])
def test_pool_is_the_mean_of_the_valid_cells(cell: int) -> None:
    rng = np.random.default_rng(cell)
    mv = rng.normal(size=(3, 9, 11, 2)).astype(np.float32)
    valid = rng.random((3, 9, 11)) < 0.4
    mv[~valid] = 1e6  # whatever stands in invalid cells must not matter
    pooled = pool(MotionField.of(mv, valid), cell)
    coarse, known = pooled.mv, pooled.valid
    expected, expected_known = slow_pool(mv, valid, cell)
    assert coarse.dtype == np.float32
    np.testing.assert_array_equal(known, expected_known)
    np.testing.assert_allclose(coarse[known], expected[known], atol=1e-5)
    assert not coarse[~known].any()


@pytest.mark.parametrize("cell", [0, 4, 12, -8])
def test_pool_refuses_other_cells(cell: int) -> None:
    with pytest.raises(ValueError, match=f"cell={cell}"):
        pool(MotionField.of(np.zeros((1, 2, 2, 2), np.float32), np.zeros((1, 2, 2), bool)), cell)
