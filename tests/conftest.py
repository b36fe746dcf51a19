"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "clips"


@pytest.fixture(scope="session")
def clips_dir() -> Path:
    """Folder of real UCF101, HMDB51, Kinetics and other files; the test skips where it is absent."""
    if not CLIPS.is_dir():
        pytest.skip(f"the real video files are not at {CLIPS}")
    return CLIPS
