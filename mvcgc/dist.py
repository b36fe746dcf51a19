"""The ranks of one stage: how they find each other, and how they agree.

One process is one rank. Without the environment of a launcher (``WORLD_SIZE`` absent or 1) there is no
process group and every function here is the identity. On GPUs tensors of the device travel by NCCL and
those of the host by gloo, on CPUs all by gloo; nothing is ever replaced by something slower in silence.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import torch
import torch.distributed as td
from torch import Tensor

from mvcgc.errors import UserError

T = TypeVar("T")


class Device(Enum):
    """Where a stage computes; ``auto`` means the GPUs if torch sees any."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@dataclass(frozen=True)
class Dist:
    """One rank's place: ``rank`` of ``world``, ``local_rank`` on its machine, and the device that is its
    own.
    """

    rank: int
    world: int
    local_rank: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Return whether this rank writes what all ranks share: journal, provenance, DONE.json."""
        return self.rank == 0


def setup(device: Device = Device.auto, threads: int = 1, deterministic: bool = False) -> Dist:
    """Join the ranks named by RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT.

    ``threads`` is the number of CPU threads that torch may use in this process; ``deterministic`` is as
    `make_deterministic` says. Raises UserError if the environment is incomplete or the device is not there.
    """
    torch.set_num_threads(threads)
    rank, world, local_rank = _place(os.environ)
    chosen = _device(device, local_rank)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
        torch.backends.cudnn.benchmark = True  # shapes never change within a stage
    if deterministic:
        make_deterministic()
    if world > 1:
        td.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    return Dist(rank, world, local_rank, chosen)


def make_deterministic() -> None:
    """Have this process compute the same bits again on the same kind and number of devices; slower.

    Before the first product on a GPU, and before the ranks join: cuBLAS and NCCL read their settings once.
    Where torch has no deterministic kernel it warns, and goes on.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    # Otherwise NCCL chooses by size and topology, and with the order of a sum its rounding.
    os.environ.update(NCCL_ALGO="Ring", NCCL_PROTO="Simple")


def teardown() -> None:
    """Leave the group; all ranks call it."""
    if td.is_initialized():
        td.destroy_process_group()


def rank() -> int:
    """This process's number, 0 without a group."""
    return td.get_rank() if td.is_initialized() else 0


def world() -> int:
    """The number of ranks, 1 without a group."""
    return td.get_world_size() if td.is_initialized() else 1


def is_main() -> bool:
    """Return whether this is rank 0."""
    return rank() == 0


def barrier() -> None:
    """Wait for all ranks."""
    if world() > 1:
        # A sum of nothing rather than td.barrier(), which would need to be told the device.
        td.all_reduce(torch.zeros(1))


def all_gather_cat(tensor: Tensor, uneven: bool = False) -> Tensor:
    """The ranks' tensors, joined along their first axis in the order of the ranks; no gradient passes.

    All shapes are the same, but for the first axis where ``uneven`` is set: it may then differ, and be 0.
    """
    own = tensor.detach()
    if world() == 1:
        return own
    sizes = [own.shape[0]] * world()
    if uneven:
        sizes = all_gather_object(own.shape[0])
        missing = max(sizes) - own.shape[0]
        own = torch.cat([own, own.new_zeros(missing, *own.shape[1:])])
    parts = [torch.empty_like(own) for _ in sizes]
    td.all_gather(parts, own.contiguous())
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def all_gather_rows(*tensors: Tensor) -> list[Tensor]:
    """`all_gather_cat` of each of several tensors [B, ...], of any types, in one exchange."""
    if world() == 1:
        return [tensor.detach() for tensor in tensors]
    return unpacked(all_gather_cat(packed(tensors)), tensors)


def packed(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors [B, ...] of any types as the bytes of their rows side by side, uint8 [B, ...]."""
    rows = [tensor.detach().flatten(1 if tensor.dim() > 1 else 0).contiguous() for tensor in tensors]
    return torch.cat([row.view(torch.uint8).view(len(row), -1) for row in rows], dim=1)


def unpacked(rows: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The tensors of `packed` rows, as many as there are; types and shapes of a row are those of ``like``."""
    widths = [tensor.nbytes // len(tensor) for tensor in like]
    return [
        # A copy in any case: of a single row, a part may start where its type may not.
        part.clone(memory_format=torch.contiguous_format)
        .view(tensor.dtype)
        .view(len(rows), *tensor.shape[1:])
        for part, tensor in zip(torch.split(rows, widths, dim=1), like, strict=True)
    ]


def all_gather_object(value: T) -> list[T]:
    """The ranks' values (anything that pickles), in the order of the ranks."""
    if world() == 1:
        return [value]
    values: list[T] = [value] * world()
    td.all_gather_object(values, value)
    return values


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """The sum over the ranks, the same bits on each; the argument stays as it is, no gradient passes."""
    if world() == 1:
        return tensor.detach()
    total = tensor.detach().clone()
    td.all_reduce(total)
    return total


def all_reduce_mean(tensor: Tensor) -> Tensor:
    """The mean over the ranks, each counting the same; see `all_reduce_sum`."""
    return all_reduce_sum(tensor) / world()


def all_true(flag: Tensor) -> Tensor:
    """Return whether ``flag``, a bool, holds on every rank; the answer stays on its device, nobody waits."""
    if world() == 1:
        return flag
    return all_reduce_sum((~flag).to(torch.int32)) == 0


def broadcast(tensor: Tensor) -> Tensor:
    """Rank 0's tensor on every rank; shape and type must agree."""
    if world() == 1:
        return tensor
    copy = tensor.detach().clone()
    td.broadcast(copy, src=0)
    return copy


def any_flags(flags: Sequence[bool]) -> list[bool]:
    """For each flag whether any rank has raised it: the same answer on all ranks."""
    if world() == 1:
        return list(flags)
    return [total > 0 for total in all_reduce_sum(torch.tensor([int(flag) for flag in flags])).tolist()]


def any_flag(flag: bool) -> bool:
    """Return whether any rank has raised the flag."""
    return any_flags([flag])[0]


def _place(environment: Mapping[str, str]) -> tuple[int, int, int]:
    names = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    world = _number(environment, "WORLD_SIZE", default=1)
    if world < 2:
        return 0, 1, _number(environment, "LOCAL_RANK", default=0)
    missing = [name for name in names if name not in environment]
    if missing:
        raise UserError(
            f"WORLD_SIZE={world} but {', '.join(missing)} not set: a launcher must set all of them"
        )
    rank = _number(environment, "RANK")
    if not 0 <= rank < world:
        raise UserError(f"RANK={rank} is not between 0 and WORLD_SIZE={world}")
    return rank, world, _number(environment, "LOCAL_RANK")


def _number(environment: Mapping[str, str], name: str, default: int = 0) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal():
        raise UserError(f"{name}={text!r} in the environment is not a number")
    return int(text)


def _device(device: Device, local_rank: int) -> torch.device:
    wants_gpu = device is Device.cuda or (device is Device.auto and torch.cuda.is_available())
    if not wants_gpu:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("device=cuda but torch sees no GPU here: use device=cpu or device=auto")
    if local_rank >= torch.cuda.device_count():
        raise UserError(
            f"rank {local_rank} of this machine needs a GPU of its own and there are "
            f"{torch.cuda.device_count()}: start fewer ranks, or use device=cpu"
        )
    return torch.device("cuda", local_rank)
