"""A SLURM of the tests' own, and videos that every node sees."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from local_cluster import LocalCluster

from mvcgc.video import encode


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """A cluster that this process has to itself: tests kill its daemons.

    With MVCGC_CLUSTER set it is the one in that folder, which stays up; else it is down after the tests.
    The tests skip where slurm/local-cluster says that it cannot work.
    """
    given = os.environ.get("MVCGC_CLUSTER")
    # Not below pytest's own folders: their names are too long for the sockets in it.
    cluster = LocalCluster(Path(given or tempfile.mkdtemp(prefix="mvcgc-slurm-")))
    try:
        up = cluster.control("up")
        if up.returncode == 2:
            pytest.skip(f"no SLURM: {up.stderr.strip()}")
        assert up.returncode == 0, up.stderr
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(cluster.conf))
            yield cluster
    finally:
        if not given:
            down = cluster.control("down")
            assert down.returncode in (0, 2), down.stderr


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of small moving pictures, enough for a training, a validation and a test part."""
    root = tmp_path_factory.mktemp("made") / "videos"
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    for label, step in (("left", -2), ("right", 2)):
        (root / label).mkdir(parents=True)
        for number in range(12):
            frames = [np.roll(picture, step * t + number, axis=1) for t in range(12)]
            encode(root / label / f"{number:02d}.avi", frames)
    return root


@pytest.fixture(autouse=True)
def as_a_user_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the tests' own environment reaches the jobs."""
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "MVCGC_R", "MVCGC_D"))]:
        monkeypatch.delenv(name)
