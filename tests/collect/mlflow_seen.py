"""What a person would see in MLflow, read with MLflow's own client."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mvcgc.collect.environment import prepare_environment

prepare_environment(timeout_s=10.0)

from mlflow import MlflowClient  # noqa: E402 - reads the environment when it is imported


@dataclass
class Seen:
    """One run, without what differs from store to store: its id and its place."""

    name: str
    parent: str | None
    status: str
    start_ms: int
    end_ms: int | None
    params: dict[str, str]
    tags: dict[str, str]
    points: dict[str, list[tuple[int, int, float]]]
    artifacts: dict[str, bytes]
    run_id: str = field(compare=False, repr=False)


def client(uri: str) -> Any:
    """MLflow's client of a store."""
    return MlflowClient(uri, registry_uri=uri)


def experiment_of(store: Any, name: str = "mvcgc") -> str:
    """The id of an experiment."""
    return str(store.get_experiment_by_name(name).experiment_id)


def seen(uri: str, experiment: str = "mvcgc") -> dict[str, Seen]:
    """All active runs by their uid, whole."""
    store = client(uri)
    found = {}
    for run in _runs(store, experiment):
        made = _seen(store, run)
        uid = made.tags["mvcgc.uid"]
        assert uid not in found, f"{uid} is there twice"
        found[uid] = made
    return found


def one(uri: str, name: str, experiment: str = "mvcgc") -> Seen:
    """The root run of that name."""
    store = client(uri)
    (run,) = (run for run in _runs(store, experiment) if run.info.run_name == name and not _parent(run))
    return _seen(store, run)


def roots(uri: str) -> dict[str, str]:
    """The status of every root run by its name."""
    return {run.info.run_name: run.info.status for run in _runs(client(uri), "mvcgc") if not _parent(run)}


def children(uri: str, parent: str) -> dict[str, Seen]:
    """The stages of a row by their names."""
    store = client(uri)
    above = one(uri, parent).run_id
    runs = [_seen(store, run) for run in _runs(store, "mvcgc") if _parent(run) == above]
    found = {run.name: run for run in runs}
    assert len(found) == len(runs), "a stage is there twice"
    return found


def _runs(store: Any, experiment: str) -> list[Any]:
    return list(store.search_runs([experiment_of(store, experiment)], max_results=1000))


def _parent(run: Any) -> str | None:
    parent = run.data.tags.get("mlflow.parentRunId")
    return None if parent is None else str(parent)


def _seen(store: Any, run: Any) -> Seen:
    tags = dict(run.data.tags)
    parent = tags.pop("mlflow.parentRunId", None)
    return Seen(
        name=run.info.run_name,
        parent=store.get_run(parent).data.tags["mvcgc.uid"] if parent else None,
        status=run.info.status,
        start_ms=run.info.start_time,
        end_ms=run.info.end_time,
        params=dict(run.data.params),
        tags=tags,
        points={name: _points(store, run.info.run_id, name) for name in run.data.metrics},
        artifacts=_artifacts(store, run.info.run_id),
        run_id=run.info.run_id,
    )


def _points(store: Any, run_id: str, name: str) -> list[tuple[int, int, float]]:
    history = store.get_metric_history(run_id, name)
    return sorted((point.step, point.timestamp, point.value) for point in history)


def _artifacts(store: Any, run_id: str) -> dict[str, bytes]:
    paths = [item.path for item in store.list_artifacts(run_id)]
    # A server's are fetched, by default into folders that nobody deletes.
    with TemporaryDirectory() as folder:
        return {path: Path(store.download_artifacts(run_id, path, folder)).read_bytes() for path in paths}
