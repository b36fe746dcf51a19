"""Passes: all clips of many videos through frozen networks, each video once, on all ranks together."""

import io
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mvcgc import dist
from mvcgc.data.augment.base import Augmentation
from mvcgc.data.clips.dataset import DrawDataset, WindowDataset
from mvcgc.data.clips.sampler import WindowSampler
from mvcgc.data.index.progress import progress
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.loader import Loader
from mvcgc.files import write_atomic
from mvcgc.stages.context import StageContext
from mvcgc.stages.evaluate.course import PartJournal
from mvcgc.train import Amp, Interrupted, NotFinite
from mvcgc.train.arrival import Arrival

ROWS = 40
"""Clips per batch: four windows of ten crops."""

_PENDING_BYTES = 256 << 20
_JOURNAL_EVERY_S = 5.0

Compute = Callable[[dict[str, Tensor]], dict[str, Tensor]]
"""From the clips of a batch, [rows, C, T, H, W] by view, to what is wanted of them, [rows, ...] by name."""

Reduce = Callable[[Tensor], Tensor]
"""From what is wanted of a video's clips, [rows, ...] in the order of the dataset, to that of the video."""


@dataclass(frozen=True)
class Pass:
    """What to show: ``dataset`` gives the clips of any of the videos ``ids``; networks compute in ``amp``.

    ``augmentation`` is the one that random clips were drawn by; None for test clips.
    """

    name: str
    ids: list[int]
    dataset: Callable[[list[int]], WindowDataset | DrawDataset]
    reduce: Reduce
    amp: Amp = Amp.none
    augmentation: Augmentation | None = None


@dataclass(frozen=True)
class _Part:
    """Finished videos: ids, and values [n, ...] by name."""

    video: list[int]
    values: dict[str, Tensor]


def collect(context: StageContext, journal: PartJournal, one: Pass, compute: Compute) -> dict[str, Tensor]:
    """What ``compute`` finds of every video of the pass, [videos, ...] by name in the order of ``one.ids``.

    The same on all ranks, on the CPU. What is finished is saved at the interval of the stage's checkpoints,
    and another attempt, on any number of ranks, does only the rest. Raises Interrupted after a stop signal.
    """
    store = _Store(_folder(context, one))
    parts = store.load()
    known = {video for part in parts for video in part.video}
    left = [video for video in one.ids if video not in known]
    if left:
        if known:
            journal.resume(len(known))
        parts += _show(context, journal, one, compute, left=left, store=store)
    return _join(parts, one.ids)


def forget(context: StageContext, *passes: Pass) -> None:
    """Delete what the passes have saved."""
    if context.dist.is_main:
        for one in passes:
            shutil.rmtree(_folder(context, one), ignore_errors=True)


def _folder(context: StageContext, one: Pass) -> Path:
    return context.folder.checkpoint / f"pass-{one.name}"


def _show(
    context: StageContext,
    journal: PartJournal,
    one: Pass,
    compute: Compute,
    *,
    left: list[int],
    store: "_Store",
) -> list[_Part]:
    place, runtime = context.dist, context.config.runtime
    dataset = one.dataset(left)
    loader = Loader(
        dataset, WindowSampler(dataset, ROWS, place.rank, place.world), runtime.workers, place.device
    )
    rows = {video: sum(map(dataset.rows, dataset.plan(i))) for i, video in enumerate(left)}
    bins, parts, clips = _Bins(rows, one.reduce), [], 0
    inputs = Inputs(dataset.source.modalities, one.augmentation)
    started = saved = told = time.monotonic()
    # Ranks have different numbers of batches: all go as many rounds, to agree on stopping and saving.
    rounds = max(dist.all_gather_object(len(loader)))
    batches = iter(loader)
    title = f"{context.config.name} {one.name}"
    with torch.no_grad(), progress(title, rounds if place.is_main else 0) as advance:
        for _ in range(rounds):
            batch = next(batches, None)
            if batch is not None:
                views = inputs(batch.to(place.device))
                with one.amp.on(place.device):
                    found = compute({view: clip[:, 0] for view, clip in views.items()})
                bins.add(batch.video, batch.names, found)
                clips += len(batch)
            now = time.monotonic()
            due = now - saved >= runtime.checkpoint_every_s or bins.nbytes > _PENDING_BYTES
            stop, save = dist.any_flags([context.stop.raised, due])
            if stop or save:
                parts.append(store.save(bins.take()))
                saved = now
            if stop:
                raise Interrupted(f"{context.stop.reason}: what pass {one.name} found is saved")
            if now - told >= _JOURNAL_EVERY_S:
                done = journal.steps - len(left) + min(len(left), bins.finished * place.world)
                journal.metrics(done, {"clips_per_s": clips * place.world / (now - started)})
                told = now
            advance(1)
    parts.append(store.save(bins.take()))
    total = sum(dist.all_gather_object(clips))
    journal.metrics(journal.steps, {"clips_per_s": total / (time.monotonic() - started)})
    return parts


class _Bins:
    """Gathers rows by video, whatever batches they come in, and reduces a video's once all are there.

    It looks at a batch when it is given the next one: the host never waits for the batch under way.
    """

    def __init__(self, rows: Mapping[int, int], reduce: Reduce) -> None:
        self._rows, self._reduce = rows, reduce
        self._coming: deque[tuple[Tensor, list[str], Arrival]] = deque()
        self._open: dict[int, list[dict[str, Tensor]]] = {}
        self._closed: dict[int, dict[str, Tensor]] = {}
        self.finished = 0
        self.nbytes = 0

    def add(self, video: Tensor, names: list[str], found: Mapping[str, Tensor]) -> None:
        """Take the rows of a batch; ``video`` is on the host. Raises as `_take_in` for the one before."""
        arrival = Arrival({name: value.float() for name, value in found.items()})
        self._coming.append((video, names, arrival))
        if len(self._coming) > 1:
            self._take_in()

    def _take_in(self) -> None:
        """Look at the oldest batch. Raises NotFinite naming the videos whose rows are not all finite."""
        video, names, arrival = self._coming.popleft()
        host = arrival.values()
        sound = torch.stack([value.flatten(1).isfinite().all(dim=1) for value in host.values()]).all(dim=0)
        if not sound.all():
            bad = sorted({name for name, good in zip(names, sound.tolist(), strict=True) if not good})
            raise NotFinite(f"the network's output is not finite for {', '.join(bad)}")
        numbers, counts = torch.unique_consecutive(video, return_counts=True)
        pieces = {name: torch.split(value, counts.tolist()) for name, value in host.items()}
        for i, number in enumerate(numbers.tolist()):
            held = self._open.setdefault(number, [])
            held.append({name: piece[i] for name, piece in pieces.items()})
            if sum(len(next(iter(each.values()))) for each in held) == self._rows[number]:
                self._close(number, self._open.pop(number))

    def _close(self, number: int, held: list[dict[str, Tensor]]) -> None:
        values = {name: self._reduce(torch.cat([each[name] for each in held])) for name in held[0]}
        self._closed[number] = values
        self.finished += 1
        self.nbytes += sum(value.nbytes for value in values.values())

    def take(self) -> _Part:
        """The videos finished since the last call. Raises as `_take_in`."""
        while self._coming:
            self._take_in()
        closed, self._closed, self.nbytes = self._closed, {}, 0
        values: dict[str, Tensor] = {}
        if closed:
            names = next(iter(closed.values()))
            values = {name: torch.stack([each[name] for each in closed.values()]) for name in names}
        return _Part(list(closed), values)


class _Store:
    """The finished parts of a pass on the disk, each a file that appears whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def load(self) -> list[_Part]:
        """All parts that earlier attempts saved; all ranks call it."""
        names = sorted(path.name for path in self._folder.glob("*.pt")) if dist.is_main() else []
        names = dist.all_gather_object(names)[0]
        self._count = len(names)
        contents = [torch.load(self._folder / name, map_location="cpu", weights_only=True) for name in names]
        return [_Part(content["video"], content["values"]) for content in contents]

    def save(self, own: _Part) -> _Part:
        """Join the ranks' videos into one part, the same on all of them, and save it."""
        part = _concatenate([each for each in dist.all_gather_object(own) if each.video])
        if part.video and dist.is_main():
            buffer = io.BytesIO()
            torch.save({"video": part.video, "values": part.values}, buffer)
            write_atomic(self._folder / f"{self._count:06d}.pt", buffer.getvalue())
        self._count += 1
        return part


def _concatenate(parts: list[_Part]) -> _Part:
    names = list(parts[0].values) if parts else []
    values = {name: torch.cat([part.values[name] for part in parts]) for name in names}
    return _Part([video for part in parts for video in part.video], values)


def _join(parts: list[_Part], ids: list[int]) -> dict[str, Tensor]:
    whole = _concatenate([part for part in parts if part.video])
    place = {video: i for i, video in enumerate(whole.video)}
    assert len(place) == len(whole.video) == len(ids), f"{len(whole.video)} videos of {len(ids)} were counted"
    order = torch.tensor([place[video] for video in ids], dtype=torch.int64)
    return {name: value[order] for name, value in whole.values.items()}
