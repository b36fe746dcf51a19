"""The keys of ``hydra.launcher`` with ``hydra/launcher=slurm``: the stock launcher's, and ours."""

from dataclasses import dataclass, field
from typing import Any

from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf

UNUSED = ("name", "submitit_folder", "array_parallelism", "python", "use_srun")
"""Keys of the stock launcher that are accepted and have no effect here."""


@dataclass
class SlurmConfig(SlurmQueueConf):  # type: ignore[misc]  # the plugin has no types
    """The stock launcher's configuration; a size that is not given is each stage's own.

    Attributes:
        timeout_min: minutes that a job may run at a time.
        cpus_per_task, gpus_per_node, tasks_per_node, nodes: one size for all stages; ``nodes`` and
            ``tasks_per_node`` also say how many ranks a stage has.
        mem_gb: GB on each node.
        max_num_timeout: how often a stage may go on after its time limit; None for as often as that brings
            it further.
        srun_args: further arguments of srun.
        wckey: the workload key; none is sent by default.
        wait: follow the jobs to their end, and make the tables.
        budget_gpu_hours: refuse a sweep that would take more.
        clips_per_s: of one network that learns on one rank, to estimate by; None for what was measured.
        snapshot: copy the code below the root, and run the jobs from that copy.
        max_retries: how often a stage may start again after a failure that is not its own.
        action, why: what to do, see `StageLauncher`.
    """

    _target_: str = "hydra_plugins.mvcgc_launcher.launcher.StageLauncher"
    _convert_: str = "all"
    action: str = "slurm"
    why: str | None = None
    submitit_folder: str | None = None
    name: str | None = None
    array_parallelism: int | None = None
    python: str | None = None
    use_srun: bool | None = None
    timeout_min: int | None = None
    tasks_per_node: int | None = None
    nodes: int | None = None
    mem_gb: float | None = None
    max_num_timeout: int | None = None
    setup: list[str] | None = None
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    srun_args: list[str] = field(default_factory=list)
    wckey: str | None = None
    wait: bool = True
    budget_gpu_hours: float | None = None
    clips_per_s: float | None = None
    snapshot: bool = False
    max_retries: int = 3
