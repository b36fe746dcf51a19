"""One pass from the journals to MLflow: at least once, in order, nothing twice that shows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from mvcgc.collect.cursors import CursorFile, TakenBack, advance, unsent
from mvcgc.collect.sources import Facts, RowSource, Sources, journal_size, root_id, sources
from mvcgc.collect.store import BATCH, KnownRun, Store
from mvcgc.collect.view import RunView, StageFacts, samples_of, stage_view, sweep_view
from mvcgc.plan import State, SweepRecord
from mvcgc.runs.journal import Folded, read

LOG_TAIL_BYTES = 200_000
_TABLES = ("md", "html", "csv", "tex")
_PLOTS = ("png", "svg")


@dataclass
class Collected:
    """What has been done: runs made, points sent, rows made again because points were taken back.

    ``warnings`` tells of sweep records that cannot be read, and of a store in a dangerous place.
    """

    experiment_id: str
    created: int = 0
    points: int = 0
    remade: int = 0
    warnings: list[str] = field(default_factory=list)


class Transfer:
    """A pass: everything under ``root`` that ``store`` does not have yet.

    ``known`` are the store's runs by uid and ``settled`` the sizes of the journals of finished stages of
    which everything has been sent; both are kept for the next pass. ``folder`` holds the cursors.
    """

    def __init__(
        self,
        root: Path,
        *,
        folder: Path,
        store: Store,
        known: dict[str, KnownRun],
        settled: dict[str, int],
        results: Path | None,
        done: Collected,
    ) -> None:
        self._name = root_id(root)
        self._folder = folder
        self._store = store
        self._known = known
        self._settled = settled
        self._results = results
        self._done = done
        self._sources: Sources = sources(root, self._name)
        self._facts = Facts(root, self._name)
        self._files = {uid: CursorFile(folder / f"{uid}.json") for uid in self._sources.rows}

    def run(self) -> bool:
        """Send what is new; True if a row has to be sent afresh. Raises CollectError."""
        self._done.warnings = [*self._store.warnings, *self._sources.warnings]
        rows = self._sources.rows
        for uid, source in rows.items():
            if uid not in self._known:
                # How it ended is told once its points are there.
                self._describe(replace(self._facts.view(source), status="RUNNING", end_ms=None), None, uid)
        taken_back: set[str] = set()
        for key, users in self._sources.users.items():
            taken_back |= self._stage(key, self._facts.stage(users[0].record, key), users)
        for uid, source in rows.items():
            if uid in taken_back:
                self._take_back(source)
            else:
                self._describe(self._facts.view(source), None, uid)
                config = yaml.safe_dump(source.record.config(source.row), sort_keys=False)
                self._attach({"config.yaml": config.encode()}, uid, uid)
        self._sweeps()
        return bool(taken_back)

    def _stage(self, key: str, stage: StageFacts, users: list[RowSource]) -> set[str]:
        """Send a stage to all rows that need it; the uids of rows from which points were taken back."""
        size = journal_size(stage.folder.journal)
        finished = stage.state.state is State.FINISHED
        if stage.state.state is State.MISSING or (finished and self._settled.get(key) == size):
            return set()
        folded = read(stage.folder.journal)
        taken_back = set()
        for source in users:
            if self._known[source.uid].deleted:
                continue
            try:
                self._send(stage, folded, source.uid)
            except TakenBack:
                taken_back.add(source.uid)
                continue
            view = stage_view(self._facts.view(source), source.record, stage, folded, len(users))
            self._describe(view, source.uid, source.uid)
            self._attach(_files_of(stage), view.uid, source.uid)
        if finished and not taken_back:
            self._settled[key] = size
        return taken_back

    def _send(self, stage: StageFacts, folded: Folded, uid: str) -> None:
        file = self._files[uid]
        sent = file.of(uid, self._known[uid].run_id)
        cursors = sent.cursors.setdefault(stage.record.name, {})
        fresh = unsent(samples_of(stage, folded), cursors)
        for start in range(0, len(fresh), BATCH):
            batch = fresh[start : start + BATCH]
            self._store.send(sent.run_id, batch)
            advance(cursors, batch)
            file.save()
            self._done.points += len(batch)

    def _describe(self, view: RunView, parent: str | None, row: str) -> None:
        """Make a run if there is none, and tell what has changed about it; ``row`` has the cursors."""
        known = self._known.get(view.uid)
        if known is None:
            known = self._store.create(view, self._known[parent].run_id if parent else None)
            self._known[view.uid] = known
            self._done.created += 1
        file = self._files[row]
        sent = file.of(view.uid, known.run_id)
        if not known.deleted and sent.digest != view.digest:
            self._store.describe(known, view)
            sent.digest = view.digest
            file.save()

    def _attach(self, contents: Mapping[str, bytes], uid: str, row: str) -> None:
        known, file = self._known[uid], self._files[row]
        sent = file.of(uid, known.run_id)
        for name, content in contents.items():
            digest = hashlib.sha256(content).hexdigest()[:16]
            if not known.deleted and sent.artifacts.get(name) != digest:
                self._store.put(known.run_id, name, content)
                sent.artifacts[name] = digest
                file.save()

    def _take_back(self, source: RowSource) -> None:
        """Points cannot be deleted in MLflow, a run can: it is made again, with what the journal now says."""
        for own in [own for own in self._known if own == source.uid or own.startswith(f"{source.uid}/")]:
            self._store.forget(self._known.pop(own))
        self._files[source.uid].clear()
        for key in source.row.stages.values():
            self._settled.pop(key, None)
        self._done.remade += 1

    def _sweeps(self) -> None:
        for records in self._sources.sweeps.values():
            newest = records[-1]
            tables = self._tables(newest)
            markdown = tables.get("table.md", b"").decode().partition("\n## Fingerprints")[0]
            rows = [self._facts.view(s) for s in self._sources.rows.values() if s.record.id == newest.id]
            view = sweep_view(self._name, newest, records[0].created_ms + 1, rows, markdown or None)
            self._files[view.uid] = CursorFile(self._folder / f"{view.uid}.json")
            self._describe(view, None, view.uid)
            self._attach(tables, view.uid, view.uid)

    def _tables(self, record: SweepRecord) -> dict[str, bytes]:
        """The written tables and plots of a sweep."""
        if self._results is None:
            return {}
        folder = self._results / record.scale
        paths = {f"table.{suffix}": folder / f"{record.name}.{suffix}" for suffix in _TABLES}
        files = [f"{plot.name}.{suffix}" for plot in record.table.plots for suffix in _PLOTS]
        paths |= {file: folder / f"{record.name}.{file}" for file in files}
        return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


def _files_of(stage: StageFacts) -> dict[str, bytes]:
    """Return what is shown of a stage's folder; the end of its log where it failed."""
    folder = stage.folder
    paths = [folder.config, folder.provenance, folder.done]
    contents = {path.name: path.read_bytes() for path in paths if path.is_file()}
    log = folder.log(stage.state.progress.attempt, 0)
    if stage.state.state is State.FAILED and log.is_file():
        contents["log.txt"] = log.read_bytes()[-LOG_TAIL_BYTES:]
    return contents
