"""Real processes for tests, forked from a server that has imported once what they need.

Importing torch and its optimisers costs seconds in each process; forking the test's own process would copy
its threads' locks. Imported in the processes too, so without a test framework.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mvcgc import dist
from mvcgc.dist import Device

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["__main__", "pytest", "torch._dynamo", "mvcgc.stages.pretrain.run", "mvcgc.stages.runner"]
)
SECONDS = 500


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def on_two_ranks(job: Callable[[Path], Any], folder: Path) -> list[Any]:
    """What ``job(folder)`` returns on each of two ranks that have joined."""
    codes = run_ranks(_joined, job, folder)
    assert codes == [0, 0], codes
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def run_ranks(target: Callable[..., None], *arguments: Any) -> list[int | None]:
    """Exit codes of two processes with the environment of two ranks."""
    port = free_port()
    processes = []
    for rank in (0, 1):
        place = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": 2,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        processes.append(PROCESSES.Process(target=_placed, args=(place, target, *arguments)))
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


def run_one(target: Callable[..., None], *arguments: Any) -> int | None:
    """Exit code of one process."""
    process = PROCESSES.Process(target=target, args=arguments)
    process.start()
    process.join(SECONDS)
    return process.exitcode


def _placed(place: Mapping[str, object], target: Callable[..., None], *arguments: Any) -> None:
    os.environ.update({name: str(value) for name, value in place.items()})
    target(*arguments)


def _joined(job: Callable[[Path], Any], folder: Path) -> None:
    place = dist.setup(Device.cpu, threads=1)
    torch.save(job(folder), folder / f"{place.rank}.pt")
    dist.teardown()
