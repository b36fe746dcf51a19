"""Parts of the user's own in jobs: found beside the configuration, and in a snapshot of the code."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from local_cluster import LocalCluster, wait_for
from sweeping import Sweep

pytestmark = pytest.mark.timeout(1800)
PROJECT = Path(__file__).parents[2] / "examples" / "own_project"


def test_jobs_import_own_parts_as_they_were_at_submission(cluster: LocalCluster, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("data", "__pycache__"))
    subprocess.run([sys.executable, "make_videos.py"], cwd=folder, check=True)
    sweep = Sweep(folder, ("sweeps=own", "hydra/launcher=slurm", "slurm=local"))
    started = sweep.start("hydra.launcher.snapshot=true", "hydra.launcher.wait=false")
    assert started.wait() == 0, started.said
    (folder / "mylab" / "methods.py").write_text("raise RuntimeError('edited after submission')\n")
    wait_for(lambda: not cluster.jobs(), "the end of the jobs")
    assert {name.rpartition("-")[0] for name in sweep.stages} == {
        "init/rgb",
        "init/mv",
        "cross",
        "linear/videos",
    }
    assert all(stage.verify_done() for stage in sweep.stages.values())
    assert len(sweep.stages) == 6
