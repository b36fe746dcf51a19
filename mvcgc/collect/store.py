"""The only place that speaks to MLflow: a few idempotent operations, every failure a `CollectError`.

Import it after `prepare_environment`, because MLflow reads some of its settings when it is imported.
"""

import fcntl
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from mvcgc.collect.config import CollectError, TrackingConfig
from mvcgc.collect.filesystem import network_filesystem
from mvcgc.collect.names import PARAM_LENGTH, TAG_LENGTH, key_name, value_text
from mvcgc.collect.view import ROOT_TAG, UID_TAG, RunView, Sample

T = TypeVar("T")

BATCH = 1000
_KEYS_PER_BATCH = 100
_PAGE = 1000
_ENDED = ("FINISHED", "FAILED", "KILLED")


@dataclass
class KnownRun:
    """A run as the store holds it."""

    run_id: str
    status: str
    deleted: bool
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)


class Store:
    """One experiment of one MLflow store, seen by one root folder of runs.

    Opening makes the sqlite file and the experiment where they are missing. Every method raises CollectError,
    after at most a few times ``timeout_s`` where a server does not answer.
    """

    def __init__(self, root: Path, tracking: TrackingConfig) -> None:
        self.uri = tracking.store_uri(root)
        self._experiment = tracking.experiment
        self.warnings = _warnings(tracking.store_file(root))
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        with self._speaking("open"), _initialising(tracking.store_file(root)):
            self._client: Any = MlflowClient(self.uri, registry_uri=self.uri)
            artifacts = (
                None if tracking.is_server else (root / "mlartifacts" / self._experiment).resolve().as_uri()
            )
            self.experiment_id = self._open_experiment(artifacts)

    def _open_experiment(self, artifacts: str | None) -> str:
        experiment = self._client.get_experiment_by_name(self._experiment)
        if experiment is None:
            tags = {"mlflow.experimentKind": "custom_model_development"}  # the UI's pages for training
            return str(
                self._client.create_experiment(self._experiment, artifact_location=artifacts, tags=tags)
            )
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def runs(self, root_id: str) -> dict[str, KnownRun]:
        """The runs that this root has made, by their ``mvcgc.uid``.

        A request to make a run that was repeated on its way makes twins: the one that has been written to
        stays, the other is retired. A run that someone deleted in the UI is in here, marked as deleted.
        """
        twins: dict[str, list[KnownRun]] = {}
        with self._speaking("search"):
            for run in self._search(root_id):
                known = KnownRun(
                    run_id=run.info.run_id,
                    status=run.info.status,
                    deleted=run.info.lifecycle_stage == "deleted",
                    tags=dict(run.data.tags),
                    params=dict(run.data.params),
                )
                twins.setdefault(known.tags[UID_TAG], []).append(known)
        found = {}
        for uid, runs in twins.items():
            first, *others = sorted(runs, key=lambda run: (run.deleted, -len(run.params), -len(run.tags)))
            found[uid] = first
            for other in others:
                if not other.deleted:
                    self.retire(other.run_id)
        return found

    def _search(self, root_id: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id],
                f"tags.`{ROOT_TAG}` = '{root_id}'",
                run_view_type=ViewType.ALL,
                max_results=_PAGE,
                order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
                page_token=token,
            )
            # The tag of a retired run is emptied, which no filter of MLflow can ask for.
            yield from (run for run in page if run.data.tags.get(UID_TAG))
            token = page.token
            if not token:
                return

    def create(self, view: RunView, parent: str | None) -> KnownRun:
        """A new run, findable by its uid from its first moment. Look it up with `runs` before."""
        parents = {"mlflow.parentRunId": parent} if parent else {}
        tags = _texts({**view.tags, **parents}, TAG_LENGTH)
        with self._speaking(f"create {view.name}"):
            run = self._client.create_run(
                self.experiment_id, start_time=view.start_ms, tags=tags, run_name=view.name
            )
        return KnownRun(run.info.run_id, "RUNNING", deleted=False, tags=tags)

    def describe(self, known: KnownRun, view: RunView) -> None:
        """Bring parameters, tags and status of a run up to date, as far as they have changed.

        A parameter cannot change in MLflow: what changed all the same becomes a tag of the same name.
        """
        params, tags = _texts(view.params, PARAM_LENGTH), _texts(view.tags, TAG_LENGTH)
        tags |= {name: text for name, text in params.items() if known.params.get(name, text) != text}
        new = {name: text for name, text in params.items() if name not in known.params}
        changed = {name: text for name, text in tags.items() if known.tags.get(name) != text}
        with self._speaking(f"describe {view.name}"):
            for chunk in _chunks(sorted(new.items()), _KEYS_PER_BATCH):
                fixed = [Param(*item) for item in chunk]
                self._client.log_batch(known.run_id, params=fixed, synchronous=True)
            for chunk in _chunks(sorted(changed.items()), _KEYS_PER_BATCH):
                told = [RunTag(*item) for item in chunk]
                self._client.log_batch(known.run_id, tags=told, synchronous=True)
            if view.status in _ENDED:
                self._client.set_terminated(known.run_id, view.status, view.end_ms)
            elif view.status != known.status:
                self._client.update_run(known.run_id, status=view.status)
        known.params |= new
        known.tags |= changed
        known.status = view.status

    def send(self, run_id: str, samples: Sequence[Sample]) -> None:
        """Add points, at most `BATCH`; sending one again changes nothing, as its time is part of its key."""
        assert len(samples) <= BATCH, f"{len(samples)} points in a batch"
        metrics = [Metric(sample.name, sample.value, sample.ts_ms, sample.step) for sample in samples]
        with self._speaking(f"send {len(samples)} points"):
            self._client.log_batch(run_id, metrics=metrics, synchronous=True)

    def put(self, run_id: str, name: str, content: bytes) -> None:
        """Write an artifact, over an older one of the name."""
        with self._speaking(f"send {name}"), tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / name
            file.write_bytes(content)
            self._client.log_artifact(run_id, str(file))

    def retire(self, run_id: str) -> None:
        """Delete a run in such a way that it is not taken for one that a person deleted."""
        with self._speaking("delete a run"):
            self._client.set_tag(run_id, UID_TAG, "")
            self._client.delete_run(run_id)

    def forget(self, known: KnownRun) -> None:
        """`retire`, also for a run that a person has deleted."""
        if known.deleted:
            with self._speaking("restore a run"):
                self._client.restore_run(known.run_id)
        self.retire(known.run_id)

    @contextmanager
    def _speaking(self, action: str) -> Iterator[None]:
        try:
            yield
        except (MlflowException, requests.RequestException, SQLAlchemyError, OSError) as error:
            reason = " ".join(str(error).split())
            raise CollectError(f"MLflow at {self.uri}: cannot {action}: {reason[:400]}") from error


def _texts(values: Mapping[str, object], length: int) -> dict[str, str]:
    return {key_name(key): value_text(value, length) for key, value in values.items()}


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _warnings(file: Path | None) -> list[str]:
    kind = network_filesystem(file) if file else ""
    if not kind:
        return []
    remedy = "set tracking.uri to sqlite:////local/disk/mlflow.db, or to a server"
    return [f"{file} lies on {kind}, where sqlite files get spoilt: {remedy}; `mvcgc collect` fills it again"]


@contextmanager
def _initialising(file: Path | None) -> Iterator[None]:
    """Let one process at a time open a sqlite store: two that migrate a new file at once spoil it."""
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f"{file.name}.init-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
