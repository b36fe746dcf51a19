"""What an evaluation leaves in its folder."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mvcgc.files import write_atomic
from mvcgc.train.arrival import Arrival


def save_arrays(path: Path, names: Sequence[str], labels: Tensor, values: Mapping[str, Tensor]) -> None:
    """An .npz: ``names`` and ``labels`` of the videos, and values [videos, ...] in the same order."""
    buffer = io.BytesIO()
    # Any: numpy's annotation takes every keyword for its flag allow_pickle.
    arrays: dict[str, Any] = {name: value.numpy() for name, value in values.items()}
    np.savez_compressed(buffer, names=np.array(names), labels=labels.numpy(), **arrays)
    write_atomic(path, buffer.getvalue())


def save_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """A network's state, on the CPU."""
    buffer = io.BytesIO()
    torch.save(Arrival(state).values(), buffer)
    write_atomic(path, buffer.getvalue())
