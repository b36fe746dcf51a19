"""The cores and GPUs of this machine, handed out to stages."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.plan import Stage


@dataclass(frozen=True)
class Capacity:
    """A number of cores, and GPUs by their names in CUDA_VISIBLE_DEVICES."""

    cores: int
    gpus: tuple[str, ...] = ()

    @classmethod
    def here(cls) -> "Capacity":
        """Return what this process may use: its affinity, its control group's limit, its visible GPUs."""
        cores = min(len(os.sched_getaffinity(0)), cgroup_cores(Path("/sys/fs/cgroup/cpu.max")))
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        count = torch.cuda.device_count()
        names = [str(i) for i in range(count)] if visible is None else visible.split(",")[:count]
        return cls(max(1, cores), tuple(name.strip() for name in names))


def cgroup_cores(path: Path) -> int:
    """Return the cores that a container may use, rounded down; a large number if unlimited."""
    unlimited = 1 << 20
    try:
        quota, period = path.read_text().split()
    except (OSError, ValueError):
        return unlimited
    return unlimited if quota == "max" else int(quota) // int(period)


@dataclass(frozen=True)
class Share:
    """The cores and GPUs of one stage."""

    cores: int
    gpus: tuple[str, ...]


@dataclass
class ResourcePool:
    """The machine's free cores and GPUs."""

    capacity: Capacity
    _free_cores: int = field(init=False)
    _free_gpus: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._free_cores = self.capacity.cores
        self._free_gpus = list(self.capacity.gpus)

    @property
    def exhausted(self) -> bool:
        """True if no stage can start now."""
        return self._free_cores == 0

    def gpus_for(self, stage: Stage) -> int:
        """Return the number of GPUs for a stage: its runtime's, or one per rank if that is open."""
        runtime = stage.runtime
        if runtime.device is Device.cpu:
            return 0
        if runtime.device is Device.cuda or runtime.gpus:
            return runtime.ranks * max(1, runtime.gpus)
        return runtime.ranks if runtime.ranks <= len(self.capacity.gpus) else 0

    def check(self, stage: Stage) -> None:
        """Raise UserError if the stage asks for more GPUs than there are.

        Cores are another matter: a stage that asks for more than the machine has gets all of them, alone.
        """
        wanted = self.gpus_for(stage)
        if wanted > len(self.capacity.gpus):
            raise UserError(
                f"stage {stage.name} asks for {wanted} GPUs and this machine has {len(self.capacity.gpus)}: "
                f"lower {stage.kind}'s ranks, or set its device to cpu"
            )

    def take(self, stage: Stage) -> Share | None:
        """Take what the stage asks for; return None if it is not free now."""
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
