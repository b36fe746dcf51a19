"""A batch is moved and rearranged as a whole: no field of a sample stays behind."""

from dataclasses import dataclass, field, fields, replace

import pytest
import torch
from torch import Tensor

from mvcgc.data.loading.batch import HOST, Batch

META = torch.device("meta")


@dataclass(frozen=True)
class Longer(Batch):
    """With fields that a later version may have."""

    start: Tensor = field(default_factory=lambda: torch.arange(3) * 10)
    scale: dict[str, Tensor] = field(
        default_factory=lambda: {"rgb": torch.arange(3.0)[:, None]}, metadata=HOST
    )


def batch() -> Longer:
    ids = torch.arange(3)
    return Longer(
        views={"rgb": ids.view(3, 1, 1, 1, 1, 1).to(torch.uint8).expand(3, 2, 3, 4, 2, 2)},
        draws=ids.view(3, 1, 1).float().expand(3, 2, 8),
        video=ids + 100,
        group=ids + 200,
        label=ids + 300,
        names=["a", "b", "c"],
        matrix=ids % 2,
    )


def rows(of: Batch) -> dict[str, list[float]]:
    """One number of every sample, by tensor."""
    return {name: tensor.flatten(1)[:, 0].tolist() if tensor.dim() > 1 else tensor.tolist()
            for name, tensor in of._tensors().items()}  # fmt: skip


def test_all_that_belongs_to_a_sample_moves_with_it() -> None:
    whole = batch()
    found = whole.rearranged(lambda tensors: [tensor[[2, 0]] for tensor in tensors])
    assert len(found) == 2
    assert found.names == []
    before, after = rows(whole), rows(found)
    assert {name.partition("/")[0] for name in before} == {one.name for one in fields(Longer)} - {"names"}
    assert after == {name: [values[2], values[0]] for name, values in before.items()}


def test_only_what_is_said_to_stays_on_the_host() -> None:
    moved = batch().to(META)
    where = {name: tensor.device.type for name, tensor in moved._tensors().items()}
    host = {name for name, device in where.items() if device == "cpu"}
    assert host == {"draws", "matrix", "scale/rgb"}
    assert moved.names == ["a", "b", "c"]


def test_a_field_that_could_not_move_is_refused() -> None:
    @dataclass(frozen=True)
    class Listed(Batch):
        start: list[int] = field(default_factory=lambda: [1, 2, 3])

    whole = batch()
    values = {one.name: getattr(whole, one.name) for one in fields(Batch)}
    with pytest.raises(AssertionError, match="start is neither a tensor nor tensors by view"):
        Listed(**values)


def test_a_field_of_another_length_is_refused() -> None:
    with pytest.raises(AssertionError, match="2 start for 3 samples"):
        replace(batch(), start=torch.arange(2))
