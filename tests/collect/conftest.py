"""A store that is made once: MLflow takes seconds to initialise a sqlite file."""

import shutil
from pathlib import Path

import pytest

from mvcgc.collect import TrackingConfig
from mvcgc.collect.environment import prepare_environment


@pytest.fixture(scope="session")
def blank_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sqlite file with MLflow's tables and nothing in them."""
    prepare_environment(timeout_s=10.0)
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("blank") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}", registry_uri=f"sqlite:///{file}")
    return file


@pytest.fixture
def root(tmp_path: Path, blank_store: Path) -> Path:
    """A root folder of runs with an initialised store at its default place."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(blank_store, folder / "mlflow.db")
    return folder


@pytest.fixture
def tracking() -> TrackingConfig:
    """The default: a sqlite file in the root."""
    return TrackingConfig()
