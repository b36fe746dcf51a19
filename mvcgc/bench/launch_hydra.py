"""Hydra's own submitit launcher on jobs that do nothing.

``python -m mvcgc.bench.launch_hydra -m hydra/launcher=submitit_slurm +job=0,1,2`` prints a line of JSON: see
`mvcgc.bench.launch.Timing`.
"""

import json
import time
from typing import Any
from unittest.mock import patch

import hydra
import submitit
from omegaconf import DictConfig

from mvcgc.config import HYDRA_DEFAULTS


@hydra.main(config_path=None, **HYDRA_DEFAULTS)
def nothing(_: DictConfig) -> None:
    """The job."""


def main() -> None:
    """Launch, with a watch on the submission."""
    map_array = submitit.AutoExecutor.map_array
    timing = {"started_at": time.time()}

    def timed(*arguments: Any) -> list[submitit.Job[Any]]:
        started = time.time()
        jobs = map_array(*arguments)
        timing.update(submitting_s=time.time() - started, submitted_at=time.time())
        return jobs

    with patch.object(submitit.AutoExecutor, "map_array", timed):
        nothing()
    print(json.dumps({**timing, "ended_at": time.time()}))


if __name__ == "__main__":
    main()
