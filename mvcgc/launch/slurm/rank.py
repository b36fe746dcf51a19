"""One rank of a stage's job: from SLURM's variables to ours. ``python -m mvcgc.launch.slurm.rank FOLDER``."""

import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from submitit.slurm.slurm import SlurmJobEnvironment

from mvcgc.errors import UserError
from mvcgc.runs.folder import StageFolder

# Below the ports that systems hand out by themselves; jobs that share a machine get ports that differ.
PORTS = range(15_000, 32_000)


def run(folder: Path) -> int:
    """Run this process's rank, with its output in the stage's log; return the exit status.

    A rank that was interrupted ends well, too: a bad end would have srun kill those that still save.
    """
    # A call to stop that comes while torch is being imported would kill; held back, it raises the flag later.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGUSR2))
    stage = StageFolder(folder)
    os.environ.update(place(os.environ))
    attempt, rank = int(os.environ["MVCGC_ATTEMPT"]), int(os.environ["RANK"])
    stage.logs.mkdir(parents=True, exist_ok=True)
    with stage.log(attempt, rank).open("ab") as log:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(log.fileno(), stream.fileno())
    # Heavy imports, and what they may say, come after this.
    from mvcgc.stages.runner import EXIT_DONE, EXIT_INTERRUPTED, EXIT_USER, main
    from mvcgc.stages.spec import StageConfig

    planned, world = StageConfig.read(stage).runtime.ranks, int(os.environ["WORLD_SIZE"])
    if world != planned:
        print(f"error: SLURM started {world} ranks, the stage was planned for {planned}", file=sys.stderr)
        return EXIT_USER
    status = main([str(folder)])
    return EXIT_DONE if status == EXIT_INTERRUPTED else status


def place(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make this process a rank. Raises UserError outside a job step."""
    try:
        number, restarts = int(environment["SLURM_JOB_ID"]), int(environment.get("SLURM_RESTART_COUNT", "0"))
        local_rank = environment["SLURM_LOCALID"]
        variables = {
            "RANK": environment["SLURM_PROCID"],
            "WORLD_SIZE": environment["SLURM_NTASKS"],
            # With --gpus-per-task each rank sees its own GPU alone.
            "LOCAL_RANK": "0" if "SLURM_GPUS_PER_TASK" in environment else local_rank,
        }
    except KeyError as error:
        raise UserError(f"{error.args[0]} is not set: start this with srun, within a SLURM job") from error
    port = PORTS[(number * 7 + restarts) % len(PORTS)]
    return {**variables, "MASTER_ADDR": _first_host(environment), "MASTER_PORT": str(port)}


def _first_host(environment: Mapping[str, str]) -> str:
    """Return rank 0's host name, or the address that srun gives if names of nodes do not resolve."""
    name = SlurmJobEnvironment().hostnames[0]
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return environment.get("SLURM_LAUNCH_NODE_IPADDR", name)
    return name


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
