"""Loading: the same batches whoever decodes them, and workers that outlive signals but not their parent."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from multiprocessing import active_children
from multiprocessing.popen_spawn_posix import Popen
from pathlib import Path

import pytest
import torch
from data_factories import STRONG, make_manifest

from mvcgc.data.clips.dataset import DrawDataset, Source, WindowDataset
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.clips.sampler import EpochSampler, WindowSampler
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.data.index.manifest import Manifest, publish
from mvcgc.data.loading import shared_memory
from mvcgc.data.loading.batch import Batch
from mvcgc.data.loading.loader import AHEAD, Loader, UnreadableVideos, eval_loader, train_loader
from mvcgc.errors import UserError
from mvcgc.launch.slurm.requeue_policy import Ending, Next, decide
from mvcgc.runs.journal import Status

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_manifest(tmp_path_factory.mktemp("videos"), 8)


@pytest.fixture(scope="module")
def source(manifest: Manifest) -> Source:
    return Source(
        manifest, manifest.training(), built_in("rgb", "mv"), ClipConfig(8, 16), MotionConfig(8, 16)
    )


def training(source: Source, workers: int = 0, rank: int = 0, world: int = 1, clips: int = 2) -> Loader:
    return train_loader(
        source,
        STRONG,
        clips=clips,
        batch_size=2,
        seed=0,
        workers=workers,
        device=CPU,
        rank=rank,
        world=world,
    )


def same(one: Batch, other: Batch) -> bool:
    tensors = [(one.views[view], other.views[view]) for view in one.views]
    tensors += [
        (getattr(one, name), getattr(other, name)) for name in ("draws", "video", "group", "label", "matrix")
    ]
    equal = all(a.dtype == b.dtype and torch.equal(a, b) for a, b in tensors)
    return one.views.keys() == other.views.keys() and equal and one.names == other.names


def joined(batches: list[Batch]) -> Batch:
    first = batches[0]
    return Batch(
        {view: torch.cat([batch.views[view] for batch in batches]) for view in first.views},
        **{
            name: torch.cat([getattr(b, name) for b in batches])
            for name in ("draws", "video", "group", "label", "matrix")
        },
        names=[name for batch in batches for name in batch.names],
    )


def test_a_batch_holds_pairs_and_the_ids_of_their_videos(source: Source) -> None:
    loader = training(source)
    batches = list(loader)
    assert len(batches) == len(loader) == 3
    batch = batches[0]
    assert batch.views["rgb"].shape == (2, 2, 3, 8, 16, 16)
    assert batch.views["mv"].shape == (2, 2, 8, 16, 16, 2)
    assert len(batch) == 2
    for row in range(2):
        video = source.manifest.videos[int(batch.video[row])]
        assert batch.names[row] == video.path
        assert int(batch.label[row]) == video.label
        assert int(batch.group[row]) == sorted({v.group for v in source.manifest.videos}).index(video.group)
    seen = torch.cat([b.video for b in batches]).tolist()
    assert sorted(seen) == source.manifest.training()


def test_workers_change_nothing_and_positions_are_kept(source: Source) -> None:
    alone, helped = training(source), training(source, workers=2)
    assert isinstance(alone.sampler, EpochSampler)
    assert isinstance(helped.sampler, EpochSampler)
    for epoch, step in ((0, 0), (1, 0), (1, 2)):
        alone.sampler.set_position(epoch, step)
        helped.sampler.set_position(epoch, step)
        expected, found = list(alone), list(helped)
        assert len(expected) == len(found) == 3 - step
        assert all(same(a, b) for a, b in zip(expected, found, strict=True))


def test_ranks_together_see_what_one_sees(source: Source) -> None:
    ranks = [list(training(source, rank=rank, world=2)) for rank in (0, 1)]
    for whole, *parts in zip(training(source), *ranks, strict=True):
        assert same(whole, joined(parts))


def test_supervised_training_sees_the_first_clip_of_the_pair(source: Source) -> None:
    pair, single = next(iter(training(source))), next(iter(training(source, clips=1)))
    assert torch.equal(single.views["rgb"], pair.views["rgb"][:, :1])
    assert torch.equal(single.draws, pair.draws[:, :1])


def test_random_clips_read_together_are_those_of_the_epochs(source: Source) -> None:
    dataset = DrawDataset(source, STRONG, seed=0, draws=3, rows_per_item=2)
    together = joined(list(Loader(dataset, WindowSampler(dataset, 6), 0, CPU)))
    loader = training(source, clips=1)
    assert isinstance(loader.sampler, EpochSampler)
    for epoch in range(3):
        loader.sampler.set_position(epoch)
        for batch in loader:
            for row, video in enumerate(batch.video.tolist()):
                place = (together.video == video).nonzero().flatten()[epoch]
                assert torch.equal(together.views["rgb"][place], batch.views["rgb"][row])
                assert torch.equal(together.draws[place], batch.draws[row])


def test_a_test_counts_every_clip_once_on_any_number_of_ranks(manifest: Manifest) -> None:
    source = Source(manifest, [0, 3, 4, 6], built_in("rgb"), ClipConfig(12, 16), MotionConfig(8, 16))

    def clips(world: int) -> list[tuple[int, bytes]]:
        found = []
        for rank in range(world):
            for batch in eval_loader(
                source, crops=10, rows=30, workers=0, device=CPU, rank=rank, world=world
            ):
                assert batch.views["rgb"].shape[1:] == (1, 3, 12, 16, 16)
                found += [
                    (int(video), rgb.numpy().tobytes())
                    for video, rgb in zip(batch.video, batch.views["rgb"], strict=True)
                ]
        return sorted(found)

    one = clips(1)
    dataset = WindowDataset(source, 10)
    assert len(one) == sum(dataset.rows(item) for i in range(len(source)) for item in dataset.plan(i))
    assert {video for video, _ in one} == {0, 3, 4, 6}
    assert clips(3) == one


def test_mirrored_test_crops_differ_in_their_draw_alone(source: Source) -> None:
    batch = next(iter(eval_loader(source, crops=10, rows=10, workers=0, device=CPU)))
    assert batch.draws[:, 0, 0].tolist() == [0, 1] * 5
    assert torch.equal(batch.views["mv"][0::2], batch.views["mv"][1::2])


def test_moving_a_batch_leaves_the_draws_on_the_host(source: Source) -> None:
    batch = next(iter(training(source)))
    moved = batch.to(torch.device("meta"))
    assert moved.views["rgb"].device.type == moved.label.device.type == "meta"
    assert moved.draws.device.type == "cpu"


def test_a_batch_larger_than_the_dataset(source: Source) -> None:
    with pytest.raises(UserError, match=r"optim\.batch_size=7: larger than the 6 videos"):
        train_loader(
            source,
            STRONG,
            clips=2,
            batch_size=7,
            seed=0,
            workers=0,
            device=CPU,
            key="optim.batch_size",
        )


def test_unreadable_videos_fail_the_step_and_are_counted_and_named(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, 4)
    (tmp_path / "a/00.avi").write_bytes(b"no longer a video")
    (tmp_path / "b/01.avi").unlink()
    source = Source(manifest, [0, 1, 2, 3], built_in("rgb"), ClipConfig(8, 16), MotionConfig(8, 16))
    loader = train_loader(source, STRONG, clips=2, batch_size=4, seed=0, workers=1, device=CPU)
    with pytest.raises(UnreadableVideos, match=r"^2 of 4 videos of the batch cannot be read: ") as caught:
        list(loader)
    assert sorted(caught.value.names) == ["a/00.avi", "b/01.avi"]
    for name in caught.value.names:
        assert name in str(caught.value)
    assert "\n" not in str(caught.value)


PARENT = """
import os, signal, sys, time
from dataclasses import replace
from multiprocessing import active_children
from multiprocessing.popen_spawn_posix import Popen
from pathlib import Path
import torch
from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.dataset import Source
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.data.index.manifest import load
from mvcgc.data.loading.loader import train_loader

if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, lambda *_: None)
    manifest = load(Path(sys.argv[1]))
    source = Source(manifest, manifest.training(), built_in("rgb"), ClipConfig(8, 16), MotionConfig(8, 16))
    loader = train_loader(
        source,
        Photometric(Photometric.Config()),
        clips=2,
        batch_size=2,
        seed=0,
        workers=1,
        device=torch.device("cpu"),
    )
    batches = iter(loader)
    next(batches)
    print("worker", *[p.pid for p in torch.multiprocessing.active_children()], flush=True)
    for command in sys.stdin:
        if command.strip() == "next":
            print(next(batches).names, flush=True)
        elif command.strip() == "leave":
            break
"""


class Parent:
    """A process with a loader and one worker, which obeys ``next`` and ``leave``."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        program = folder / "parent.py"
        program.write_text(PARENT)
        self.errors = (folder / "errors").open(
            "w"
        )  # semaphores that a killed parent leaves are complained of
        self.process = subprocess.Popen(
            [sys.executable, program, publish(manifest, folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "2"},  # libraries' own threads must be deaf, too
        )
        word, pid = self.line().split()
        assert word == "worker"
        self.worker = int(pid)

    def line(self) -> str:
        return self.process.stdout.readline()

    def tell(self, command: str) -> None:
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def worker_has(self, library: str) -> bool:
        return library in Path(f"/proc/{self.worker}/maps").read_text()

    def worker_lives(self) -> bool:
        try:
            state = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state != "Z"

    def close(self) -> None:
        self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()
        self.process.wait()


@pytest.fixture
def parent(manifest: Manifest, tmp_path: Path):
    started = Parent(tmp_path, manifest)
    yield started
    started.close()


def until(condition, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_workers_are_deaf_to_the_scheduler_and_leave_with_their_parent(parent: Parent) -> None:
    for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
        os.kill(parent.worker, number)
    time.sleep(0.2)
    assert parent.worker_lives()
    parent.tell("next")
    assert parent.line().startswith("['")
    parent.tell("leave")
    assert parent.process.wait(timeout=30) == 0
    assert not parent.worker_lives()


def test_a_signal_to_all_processes_leaves_no_trace(parent: Parent, tmp_path: Path) -> None:
    """Python's own tracker of semaphores, too, is deaf: else it complains at each batch and at the end."""
    os.killpg(parent.process.pid, signal.SIGUSR2)
    parent.tell("next")
    assert parent.line().startswith("['")
    parent.tell("leave")
    assert parent.process.wait(timeout=30) == 0
    assert (tmp_path / "errors").read_text() == ""


def test_workers_die_with_a_parent_that_is_killed(parent: Parent) -> None:
    os.kill(parent.process.pid, signal.SIGKILL)
    parent.process.wait()
    assert until(lambda: not parent.worker_lives(), 5)


def test_workers_are_without_torch_whatever_their_parent_has_loaded(parent: Parent) -> None:
    assert parent.worker_has("libavcodec")
    assert not parent.worker_has("libtorch")


def own_processes(others: set[int | None]) -> set[int | None]:
    return {process.pid for process in active_children()} - others


def test_a_worker_that_is_killed_ends_the_iteration_and_its_job_starts_again(source: Source) -> None:
    others = own_processes(set())
    loader = training(source, workers=2)
    list(loader)
    dying, other = own_processes(others)
    os.kill(other, signal.SIGSTOP)  # else it might have read all before the death is noticed
    os.kill(dying, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"ended by SIGKILL, .* want of memory") as caught:
        list(loader)
    assert until(lambda: not own_processes(others), 5)
    reason = f"RuntimeError: {caught.value}"
    ending = Ending(1, Status.FAILED, reason, [], [], checkpoint=1, checkpoint_before=-1, last_line="")
    assert decide(ending, 0, 0, 3, None).next is Next.REQUEUE
    assert len(list(loader)) == 3


def test_workers_that_cannot_start_are_told_and_none_is_left(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    others, launch, started = own_processes(set()), Popen._launch, []

    def once(popen: Popen, process: object) -> None:
        if started:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        started.append(process)
        launch(popen, process)

    loader = training(source, workers=2)
    with monkeypatch.context() as patch:
        patch.setattr(Popen, "_launch", once)
        with pytest.raises(RuntimeError, match=r"2 processes .* cannot all be started .*ulimit -u"):
            list(loader)
    assert started
    assert until(lambda: not own_processes(others), 5)
    assert len(list(loader)) == 3


def test_memory_is_shared_where_python_lacks_the_function(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    assert all(same(a, b) for a, b in zip(list(training(source)), training(source, workers=1), strict=True))


def test_what_is_wrong_in_a_worker_is_told_here(source: Source) -> None:
    videos = [replace(video, info=replace(video.info, step=0.0)) for video in source.manifest.videos]
    loader = training(replace(source, manifest=replace(source.manifest, videos=videos)), workers=1)
    with pytest.raises(ZeroDivisionError) as caught:
        list(loader)
    assert "mvcgc/video/stream.py" in str(caught.value.__cause__)  # the worker's own traceback


def test_epochs_taken_batch_by_batch_keep_their_workers(source: Source) -> None:
    """As the training loop takes them: it never asks for a batch after the last."""
    others, loader, seen = own_processes(set()), training(source, workers=2), set()
    for epoch in range(3):
        loader.sampler.set_position(epoch)
        batches = iter(loader)
        for _ in range(len(loader)):
            next(batches)
        seen |= own_processes(others)
    assert len(seen) == 2


def test_leaving_early_spoils_nothing(source: Source) -> None:
    alone, helped = list(training(source)), training(source, workers=2)
    others = own_processes(set())
    for _ in range(3):
        kept = next(iter(helped))
        assert until(lambda: not own_processes(others), 5)  # none reads what nobody wants
        assert all(same(a, b) for a, b in zip(alone, helped, strict=True))
        assert same(kept, alone[0])


def test_memory_is_used_again_when_its_batch_is_gone_and_not_before(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, memory = [], shared_memory.Memory

    def make(size: int) -> shared_memory.Memory:
        made.append(size)
        return memory(size)

    expected, loader = list(training(source)), training(source, workers=1)
    monkeypatch.setattr(shared_memory, "Memory", make)
    for epoch in range(4):
        loader.sampler.set_position(epoch)
        for _ in loader:
            pass
    assert 0 < len(made) <= AHEAD + 2
    loader.sampler.set_position(0)
    kept = [batch.views["mv"][:1, :, 2:] for batch in loader]
    loader.sampler.set_position(1)
    list(loader)
    for motion, wanted in zip(kept, expected, strict=True):
        assert torch.equal(motion, wanted.views["mv"][:1, :, 2:])


def test_memory_is_given_back_with_the_loader(source: Source) -> None:
    def held() -> int:
        return sum("memfd:mvcgc-batch" in line for line in Path("/proc/self/maps").read_text().splitlines())

    before = held()
    loader = training(source, workers=1)
    batch = next(iter(loader))
    assert held() > before
    del loader
    assert until(lambda: held() == before + 1, 5)
    assert same(batch, next(iter(training(source))))
    del batch
    assert held() == before


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_for_a_gpu_are_pinned_where_that_gpu_is_current(
    source: Source, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """No GPU is here: what is called, and from which thread."""
    calls: list[tuple[str, str, object]] = []

    def note(name: str, what: object) -> object:
        calls.append((threading.current_thread().name, name, what))
        return what

    monkeypatch.setattr(torch.cuda, "set_device", lambda device: note("set_device", device))
    monkeypatch.setattr(Batch, "pin_memory", lambda batch: note("pin", batch))
    device = torch.device("cuda", 1)
    loader = train_loader(source, STRONG, clips=2, batch_size=3, seed=0, workers=workers, device=device)
    batches = list(loader)
    assert [what for _, name, what in calls if name == "pin"] == batches
    if workers:
        assert calls[0] == ("batches_0", "set_device", device)
        assert {thread for thread, _, _ in calls} == {"batches_0"}
