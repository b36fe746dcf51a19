"""A GPU that is not there: tensors that claim to be on it, and refuse what would stop or stall a real one.

They have shapes, types and layouts, and no values. Operands on two devices raise an error, and so does what
the host would have to wait for: ``.item()``, ``bool()``, ``.tolist()``, ``nonzero``. It may wait in one place
alone, `Arrival.values`, which gives ones. What the host has to itself is real. Collectives are held to the
rules of NCCL and gloo. Use it in a process of its own, without a test framework: torch has one such device.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
import torch.distributed as td
from torch import Tensor, nn
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.amp.grad_scaler import GradScaler
from torch.testing._internal.distributed.fake_pg import FakeStore, _create_fake_pg
from torch.utils import backend_registration
from torch.utils._pytree import tree_leaves, tree_map

from mvcgc import dist
from mvcgc.train import NoJournal, Session, StopFlag
from mvcgc.train.arrival import Arrival
from mvcgc.train.checkpoint import Loaded
from mvcgc.train.state import TrainState

NAME = "fakegpu"
WIDE = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
WHOLE = (torch.int64, torch.int32, torch.int8, torch.uint8)
# Under autocast operations stay in the type that they are given: which are cast is torch's to know.
AUTOCAST = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")

CARRIED = {NAME: {*WIDE, *WHOLE, torch.bool}, "cpu": {*WIDE, *WHOLE}}
"""Types that NCCL and gloo carry."""


class _Module(backend_registration._DummyBackendModule):
    """What torch asks a kind of device."""

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


class _Mode(FakeTensorMode):
    avoid_device_init = True  # there is no memory to copy anything to

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if func.namespace == "c10d":
            check_collective(name, args)
        if name == "_fused_sgd_":  # torch knows of no shapes here, and there are none to tell
            on_one_device(name, args[:3])
            return None
        there = torch.device(kwargs.get("device") or "cpu").type != "cpu"
        if there or any(isinstance(leaf, FakeTensor) for leaf in tree_leaves((args, kwargs))):
            found = super().__torch_dispatch__(func, types, args, kwargs)
            # torch makes up values for a copy on the host.
            return self.from_tensor(found) if name == "_to_copy" and type(found) is Tensor else found
        return func(*args, **kwargs)


def check_collective(name: str, args: Any) -> None:
    """Raise TypeError for arguments that the backend of their device would refuse, or read wrongly."""
    for tensor in on_one_device(name, args):
        if tensor.dtype not in CARRIED[tensor.device.type]:
            raise TypeError(f"{name}: {tensor.dtype} is not carried on {tensor.device.type}")
        if not tensor.is_contiguous():
            raise TypeError(f"{name}: a tensor {tuple(tensor.shape)} that is not contiguous")
    if name == "alltoall_base_":
        for tensor, splits in zip(args[:2], args[3:5], strict=True):
            if sum(splits) != len(tensor):
                raise TypeError(f"{name}: splits {splits} of {len(tensor)} rows")


def on_one_device(name: str, args: Any) -> list[Tensor]:
    """The tensors among the arguments. Raises TypeError where they are on several devices."""
    tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
    if len({tensor.device for tensor in tensors}) > 1:
        raise TypeError(f"{name}: tensors on several devices")
    return tensors


@contextmanager
def fake_gpu() -> Iterator[torch.device]:
    """The device, within."""
    if torch._C._get_privateuse1_backend_name() != NAME:
        backend_registration._setup_privateuseone_for_python_backend(NAME, _Module())
        AUTOCAST.fallback(torch.library.fallthrough_kernel)
        td.Backend.register_backend("rehearsal", _create_fake_pg, extended_api=True, devices=["cpu", NAME])
    arrivals = mock.patch.object(Arrival, "values", ones)
    # Read for checkpoints alone, which wait for the device anyway.
    scale = mock.patch.multiple(GradScaler, get_scale=lambda _: 1.0, _get_growth_tracker=lambda _: 0)
    # torch cannot move a fake parameter; where it is there already it need not.
    again = mock.patch.object(nn.Module, "_apply", _moved_once(nn.Module._apply))
    with _Mode(allow_non_fake_inputs=True), arrivals, scale, again:
        yield torch.device(NAME, 0)


def _moved_once(move: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    def apply(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        if not any(isinstance(tensor, FakeTensor) for tensor in own):
            return move(module, change, recurse)
        assert all(change(tensor).device == tensor.device for tensor in own), "it is on another device"
        return module

    return apply


def ones(arrival: Arrival) -> dict[str, Tensor]:
    """Return what arrives: finite, true, and real."""
    return {name: torch.ones(value.shape, dtype=value.dtype) for name, value in arrival._host.items()}


class _Alone(nn.Module):
    """In the place of DDP, whose constructor compares values, and which gloo's ranks try elsewhere."""

    def __init__(self, module: nn.Module, **_: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any) -> Any:
        return self.module(*inputs)

    def no_sync(self) -> AbstractContextManager[None]:
        return nullcontext()


@contextmanager
def fake_ranks(world: int) -> Iterator[None]:
    """This process is rank 0 of ``world``, and nothing that it says reaches anyone."""
    td.init_process_group("rehearsal", rank=0, world_size=world, store=FakeStore())
    echo = mock.patch.object(dist, "all_gather_object", lambda value: [value] * world)
    try:
        with echo, mock.patch("mvcgc.train.parallel.DistributedDataParallel", _Alone):
            yield
    finally:
        td.destroy_process_group()


class Memory:
    """Checkpoints that are kept as they would be read from the disk: every tensor a copy on the CPU."""

    def __init__(self, *_: Any) -> None:
        self.saved: Loaded | None = None

    def save(self, step: int, shared: dict[str, Any], own: dict[str, Any]) -> None:
        copied = tree_map(
            lambda leaf: leaf.cpu().clone() if isinstance(leaf, Tensor) else leaf, (shared, own)
        )
        self.saved = Loaded(step, *copied)

    def load(self) -> Loaded | None:
        return self.saved


def session(device: torch.device) -> Session:
    """Of a stage that is told nothing and tells nothing."""
    place = dist.Dist(dist.rank(), dist.world(), 0, device)
    return Session("rehearsal", place, NoJournal(), Memory(), StopFlag(), checkpoint_every_s=math.inf)


def strays(state: TrainState) -> list[str]:
    """Return what of a run is not on the device that it claims."""
    found = {f"state {name}": value for name, value in state.task.state_dict().items()}
    found |= {
        f"gradient of {name}": p.grad for name, p in state.task.named_parameters() if p.grad is not None
    }
    for place, values in enumerate(state.optimizer.state.values()):
        found |= {f"optimiser {place} {name}": value for name, value in values.items()}
    found |= {
        f"sum of {name}": value for name, value in state.epoch._sums.items() if name not in HOST_FIGURES
    }
    return [f"{name} is on {value.device}" for name, value in found.items() if value.device != state.device]


HOST_FIGURES = ("seconds", "wait", "clips")
