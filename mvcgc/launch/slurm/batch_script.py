"""The batch script of a stage's job. Pure: asks no cluster and runs nothing."""

import dataclasses
import hashlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.plan import Resources, Row, Stage, runtime_of
from mvcgc.stages.spec import Runtime

JOB_HOOKS = "mvcgc.launch.slurm.job_hooks"
# What a rank runs, a stage's folder as its only argument.
RANK = "mvcgc.launch.slurm.rank"
# A rank that fails takes its job down at once; one that ends well may wait a minute for the others.
SRUN_ARGS = ("--kill-on-bad-exit=1", "--wait=60")
# Requeued when a node fails or another job preempts it; cancelled once a parent has failed.
SBATCH = {"requeue": True, "kill-on-invalid-dep": "yes"}
# Keys of the stock launcher that are passed to sbatch unchanged.
PASSED = (
    "partition",
    "qos",
    "account",
    "comment",
    "constraint",
    "exclude",
    "gres",
    "cpus_per_gpu",
    "gpus_per_task",
    "mem_per_gpu",
    "mem_per_cpu",
    "wckey",
)


@dataclass(frozen=True)
class BatchScript:
    """A job: its name, the folder of its scripts and outputs, and its batch script."""

    name: str
    folder: Path
    text: str


def batch_script(
    stage: Stage,
    settings: SlurmConfig,
    root: Path,
    after: Sequence[str] = (),
    *,
    code: Path | None = None,
    module: str = RANK,
) -> BatchScript:
    """Return the job that runs ``stage`` once the jobs ``after`` have succeeded.

    Args:
        code: folder to import the code from; None for where Python finds it.
        module: module that each rank runs, with the stage's folder.
    """
    folder = stage.folder(root.absolute()).path
    name = job_name(stage.name, stage.fingerprint, root)
    cpus = settings.cpus_per_task or (None if settings.cpus_per_gpu else stage.runtime.cpus)
    flags = {**_sizes(stage.runtime, settings, cpus), **_flags(name, folder, settings, after), **SBATCH}
    srun = ["srun", "--unbuffered", "--output", _log(folder, "%t", "out")]
    srun += [] if settings.stderr_to_stdout else ["--error", _log(folder, "%t", "err")]
    srun += [*SRUN_ARGS, *([f"--cpus-per-task={cpus}"] if cpus else []), *settings.srun_args]
    lines = [
        "#!/bin/bash",
        "",
        "# Parameters",
        *_directives({**flags, **_dashed(settings.additional_parameters)}),
        "",
        "# setup",
        *(settings.setup or []),
        *_setup(folder, settings, cpus or 1, code),
        "",
        "# command",
        f"{shlex.join(srun)} {_python(module)} {shlex.quote(str(folder))}",
        "",
    ]
    return BatchScript(name, folder / "slurm", "\n".join(lines))


def _sizes(runtime: Runtime, settings: SlurmConfig, cpus: int | None) -> dict[str, Any]:
    """Return the options of sbatch for what a job holds, and for how long; None leaves it to the cluster."""
    return {
        **_dashed({key: getattr(settings, key) for key in PASSED}),
        "nodes": runtime.nodes,
        "ntasks-per-node": runtime.ranks // runtime.nodes,
        "cpus-per-task": cpus,
        "gpus-per-node": _gpus_per_node(runtime, settings),
        "mem": _megabytes(settings.mem_gb or runtime.mem_gb, settings),
        "time": settings.timeout_min or runtime.timeout_min,
    }


def _flags(name: str, folder: Path, settings: SlurmConfig, after: Sequence[str]) -> dict[str, Any]:
    """Return the options of sbatch that do not depend on the job's size."""
    return {
        "job-name": name,
        "dependency": f"afterok:{':'.join(after)}" if after else None,
        "signal": f"USR2@{settings.signal_delay_s}",
        "open-mode": "append",
        # sbatch, unlike srun, has no %t: these are the batch script's own, and rank 0's.
        "output": _log(folder, "0", "out"),
        "error": None if settings.stderr_to_stdout else _log(folder, "0", "err"),
    }


def _dashed(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("_", "-"): value for key, value in flags.items()}


def _log(folder: Path, rank: str, suffix: str) -> str:
    return f"{folder}/slurm/%j_{rank}_log.{suffix}"


def _directives(flags: Mapping[str, Any]) -> list[str]:
    """Return the lines of a script that set sbatch's options, except those of None and False."""
    return [
        f"#SBATCH --{key}" + ("" if value is True else f"={shlex.quote(str(value))}")
        for key, value in sorted(flags.items())
        if value is not None and value is not False
    ]


def job_name(stage_name: str, fingerprint: str, root: Path) -> str:
    """The name by which a job tells what it runs, and for which root."""
    at_root = hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:8]
    return f"mvcgc-{at_root}-{stage_name.replace('/', '.')}-{fingerprint}"


def resized(rows: Sequence[Row], settings: SlurmConfig) -> list[Row]:
    """The rows with the sizes that hold for all stages. Raises UserError where they do not go together."""
    if settings.nodes is None and settings.tasks_per_node is None:
        return list(rows)
    return [dataclasses.replace(row, resources=_resized(row, settings)) for row in rows]


def _resized(row: Row, settings: SlurmConfig) -> Resources:
    sizes = {}
    for kind in row.experiment.kinds:
        runtime = runtime_of(row.resources, kind)
        nodes = settings.nodes or runtime.nodes
        if settings.tasks_per_node is None and runtime.ranks % nodes:
            raise UserError(
                f"hydra.launcher.nodes={nodes}: resources.{kind}.ranks={runtime.ranks} does not spread "
                "evenly over them; say hydra.launcher.tasks_per_node"
            )
        ranks = nodes * settings.tasks_per_node if settings.tasks_per_node else runtime.ranks
        sizes[kind] = dataclasses.replace(runtime, nodes=nodes, ranks=ranks)
    return sizes


def gpus_of(runtime: Runtime, settings: SlurmConfig) -> int:
    """GPUs that a stage's job holds."""
    if settings.gpus_per_task is not None:
        return runtime.ranks * int(settings.gpus_per_task)
    if settings.gpus_per_node is None and settings.gres is not None:
        per_node = [entry.split(":") for entry in str(settings.gres).split(",")]
        counts = [parts[-1] if parts[-1].isdecimal() else 1 for parts in per_node if parts[0] == "gpu"]
        return runtime.nodes * sum(map(int, counts))
    return runtime.nodes * (_gpus_per_node(runtime, settings) or 0)


def _gpus_per_node(runtime: Runtime, settings: SlurmConfig) -> int | None:
    if settings.gpus_per_node is not None or settings.gpus_per_task is not None or settings.gres is not None:
        given: int | None = settings.gpus_per_node
        return given
    if runtime.device is Device.cpu or not (runtime.gpus or runtime.device is Device.cuda):
        return None
    return runtime.ranks // runtime.nodes * max(1, runtime.gpus)


def _megabytes(mem_gb: float | None, settings: SlurmConfig) -> str | None:
    if mem_gb is None or settings.mem_per_cpu is not None or settings.mem_per_gpu is not None:
        return None
    return f"{round(mem_gb * 1024)}MB"


def _setup(folder: Path, settings: SlurmConfig, cpus: int, code: Path | None) -> list[str]:
    """The lines of the batch script that run on the job's first machine before srun, and after it."""
    quoted = shlex.quote(str(folder))
    timeouts = "" if settings.max_num_timeout is None else f" --max-timeouts={settings.max_num_timeout}"
    ending = f'{_python(JOB_HOOKS)} end {quoted} "$?" --max-retries={settings.max_retries}{timeouts}'
    return [
        *([f"export PYTHONSAFEPATH=1 PYTHONPATH={shlex.quote(str(code))}"] if code else []),
        f"export OMP_NUM_THREADS={cpus}",
        # The shell outlives the signal that asks the ranks to stop: it has yet to put the job back.
        "trap : TERM",
        f"mvcgc_end() {{ exec {ending}; }}",
        "trap mvcgc_end EXIT",
        f"MVCGC_ATTEMPT=$({_python(JOB_HOOKS)} begin {quoted}) || exit",
        "export MVCGC_ATTEMPT",
        f'exec >>{quoted}/slurm/"$MVCGC_ATTEMPT".log 2>&1',
    ]


def _python(module: str) -> str:
    return f"{shlex.quote(sys.executable)} -u -m {module}"
