"""What this machine has to give, and who has it at the moment."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.plan import Stage


@dataclass(frozen=True)
class Capacity:
    """Cores, and GPUs by the names that CUDA_VISIBLE_DEVICES knows them by."""

    cores: int
    gpus: tuple[str, ...] = ()

    @classmethod
    def here(cls) -> "Capacity":
        """What this process may use: its affinity, its control group's limit, its visible GPUs."""
        cores = min(len(os.sched_getaffinity(0)), cgroup_cores(Path("/sys/fs/cgroup/cpu.max")))
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        count = torch.cuda.device_count()
        names = [str(i) for i in range(count)] if visible is None else visible.split(",")[:count]
        return cls(max(1, cores), tuple(name.strip() for name in names))


def cgroup_cores(path: Path) -> int:
    """Cores that a container may use, rounded down; a large number where there is no limit."""
    unlimited = 1 << 20
    try:
        quota, period = path.read_text().split()
    except (OSError, ValueError):
        return unlimited
    return unlimited if quota == "max" else int(quota) // int(period)


@dataclass(frozen=True)
class Share:
    """What one stage has been given."""

    cores: int
    gpus: tuple[str, ...]


@dataclass
class ResourcePool:
    """The machine's cores and GPUs, handed out and taken back."""

    capacity: Capacity
    _free_cores: int = field(init=False)
    _free_gpus: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._free_cores = self.capacity.cores
        self._free_gpus = list(self.capacity.gpus)

    @property
    def exhausted(self) -> bool:
        """Whether nothing more can start now."""
        return self._free_cores == 0

    def gpus_for(self, stage: Stage) -> int:
        """How many GPUs the stage is to have: as its runtime says, one per rank if it leaves that open."""
        runtime = stage.runtime
        if runtime.device is Device.cpu:
            return 0
        if runtime.device is Device.cuda or runtime.gpus:
            return runtime.ranks * max(1, runtime.gpus)
        return runtime.ranks if runtime.ranks <= len(self.capacity.gpus) else 0

    def check(self, stage: Stage) -> None:
        """Raises UserError if the stage asks for more GPUs than there are.

        Cores are another matter: a stage that asks for more than the machine has gets all of them, alone.
        """
        wanted = self.gpus_for(stage)
        if wanted > len(self.capacity.gpus):
            raise UserError(
                f"stage {stage.name} asks for {wanted} GPUs and this machine has {len(self.capacity.gpus)}: "
                f"lower {stage.kind}'s ranks, or set its device to cpu"
            )

    def take(self, stage: Stage) -> Share | None:
        """What the stage asks for if that is free now, None if not."""
        cores, gpus = min(stage.cores, self.capacity.cores), self.gpus_for(stage)
        if cores > self._free_cores or gpus > len(self._free_gpus):
            return None
        self._free_cores -= cores
        given, self._free_gpus = self._free_gpus[:gpus], self._free_gpus[gpus:]
        return Share(cores, tuple(given))

    def give_back(self, share: Share) -> None:
        """Return what `take` gave."""
        self._free_cores += share.cores
        self._free_gpus += share.gpus
