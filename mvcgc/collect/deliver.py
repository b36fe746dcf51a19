"""The collector: one process at a time per root and store, and what it remembers between passes."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.collect.config import CollectError, TrackingConfig
from mvcgc.collect.sources import root_id
from mvcgc.collect.store import KnownRun, Store
from mvcgc.collect.transfer import Collected, Transfer
from mvcgc.runs.lock import Lock


@dataclass
class Collector:
    """Brings an MLflow store up to date, pass by pass. ``results`` is the folder of the written tables.

    The runs of the store are looked up by their tags once, and again after any error; in between this process
    is the only one that makes runs for its root, which a lock sees to. After an error the next pass goes on
    from what has been acknowledged. A run that a person has deleted in MLflow stays away until a rebuild.
    """

    root: Path
    tracking: TrackingConfig
    results: Path | None = None
    _store: Store | None = None
    _known: dict[str, KnownRun] = field(default_factory=dict)
    _settled: dict[str, int] = field(default_factory=dict)

    def once(self, rebuild: bool = False) -> Collected:
        """Send what is new. Raises CollectError, after which nothing is lost."""
        with self._alone():
            try:
                store = self._open()
                if rebuild:
                    self._retire_all(store)
                done = Collected(store.experiment_id)
                again = True
                while again:
                    transfer = Transfer(
                        self.root,
                        folder=self._folder,
                        store=store,
                        known=self._known,
                        settled=self._settled,
                        results=self.results,
                        done=done,
                    )
                    again = transfer.run()
                return done
            except CollectError:
                self._store = None
                raise

    @property
    def experiment_id(self) -> str:
        """The experiment, made if it is missing. Raises CollectError."""
        return Store(self.root, self.tracking).experiment_id

    @property
    def _folder(self) -> Path:
        target = f"{self.tracking.store_uri(self.root)} {self.tracking.experiment}"
        return self.root / "collect" / hashlib.sha256(target.encode()).hexdigest()[:12]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(self._folder / "lock")
        if not lock.try_acquire("mvcgc collect"):
            owner = lock.owner
            raise CollectError(f"{owner.describe() if owner else 'another process'} collects already")
        try:
            yield
        finally:
            lock.release()

    def _open(self) -> Store:
        if self._store is None:
            store = Store(self.root, self.tracking)
            self._known = store.runs(root_id(self.root))
            self._settled = {}
            self._store = store
        return self._store

    def _retire_all(self, store: Store) -> None:
        for known in self._known.values():
            store.forget(known)
        self._known, self._settled = {}, {}
        for path in self._folder.glob("*.json"):
            path.unlink()
