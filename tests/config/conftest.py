"""One Hydra loader for all tests of the configuration: composing is what takes the time."""

import pytest

from mvcgc.config import Composer, composer


@pytest.fixture(scope="session")
def composed() -> Composer:
    """A composer that remembers what it has composed; Hydra itself is at rest again when a test sees it."""
    with composer() as shared:
        return shared


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MVCGC_ROOT", "MVCGC_DATA"):
        monkeypatch.delenv(name, raising=False)
