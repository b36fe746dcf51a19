"""The random number generators of a process as plain values that a checkpoint can hold."""

import random
from typing import Any

import numpy as np
import torch


def capture() -> dict[str, Any]:
    """States of torch's (CPU and current GPU), Python's and NumPy's global generators."""
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - libraries may draw from it
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, gauss],
    }


def restore(state: dict[str, Any]) -> None:
    """Put all generators back to what `capture` saw."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    random.setstate(state["python"])
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002


def reseed(seed: int) -> None:
    """Start all generators from one number."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
