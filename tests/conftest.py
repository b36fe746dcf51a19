"""Fixtures shared by all tests."""

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# On a busy machine an example may take any time: that is no failure.
settings.register_profile("mvcgc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mvcgc")

# A shell starts its background jobs deaf to Ctrl-C, and they pass that on to what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "clips"


@pytest.fixture(scope="session")
def clips_dir() -> Path:
    """Folder of real UCF101, HMDB51, Kinetics and other files; the test skips where it is absent."""
    if not CLIPS.is_dir():
        pytest.skip(f"the real video files are not at {CLIPS}")
    return CLIPS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sweeps on a cluster take longest: started first, they leave no process waiting for them at the end."""
    items.sort(key=lambda item: item.path.parts[-3:-1] != ("tests", "slurm"))
