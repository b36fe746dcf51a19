"""Our launcher beside Hydra's own, on the cluster."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

JOBS = 6


@pytest.mark.usefixtures("cluster")
def test_both_launchers_are_timed(tmp_path: Path) -> None:
    line = ["-m", "mvcgc.cli", "bench", "launch", "--json", "--jobs", str(JOBS), "--rounds", "2"]
    done = subprocess.run([sys.executable, *line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["jobs"] == JOBS
    assert all(0 < found[whose]["submitted_s"] < found[whose]["total_s"] for whose in ("ours", "stock"))
