"""Side data ties frames into reference cycles; reading many clips must not grow all the same."""

import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from video_made import make

from mvcgc.video import ClipRequest, Reader, probe


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Without the garbage collector, whatever is tied into a reference cycle stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
@pytest.mark.parametrize("codec", ["mpeg4", "h264"])
@pytest.mark.usefixtures("no_collector")
def test_memory_is_flat_over_many_clips(tmp_path: Path, codec: str) -> None:
    path = make(tmp_path / "made.mp4", 2, 1, frames=24, codec=codec, bframes=2)
    info = probe(path)
    starts = np.random.default_rng(0).integers(0, 16, 100)

    def some(part: np.ndarray) -> int:
        for start in part:
            with Reader(path, info) as reader:
                reader.read([ClipRequest(int(start), 8, size=(32, 32))], motion=True)
        return resident()

    before = some(starts[:30])
    # 70 clips of at least 8 pictures of 38 kB would be 21 MB if they stayed.
    assert some(starts[30:]) - before < 5e6


class Malloc(ctypes.Structure):
    """What glibc's ``mallinfo2`` returns."""

    # The eighth and the fifth are what blocks of the heap, and large ones beside it, hold.
    _fields_ = [(f"number_{number}", ctypes.c_size_t) for number in range(10)]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
def test_reading_leaks_nothing_small(tmp_path: Path) -> None:
    """A hundred bytes a clip are not much, but where they lie the heap around cannot be given back."""
    path = make(tmp_path / "made.avi", 2, 1, frames=24, size=(32, 32), codec="mpeg4", bframes=2)
    info = probe(path)
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = Malloc

    def held_after(clips: int) -> int:
        for clip in range(clips):
            with Reader(path, info) as reader:
                reader.read([ClipRequest(clip % 16, 2, size=(16, 16))], motion=True)
            if clip % 4 == 0:
                probe(path)
        gc.collect()
        held = library.mallinfo2()
        return int(held.number_7 + held.number_4)

    before = held_after(200)
    assert held_after(600) - before < 600 * 60


@pytest.mark.usefixtures("no_collector")
def test_no_picture_outlives_its_use(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 2, 1, frames=100, size=(64, 80))
    info = probe(path)
    with Reader(path, info) as reader:
        reader.read([ClipRequest(0, 100)], motion=True)
        assert sum(type(o) is av.VideoFrame for o in gc.get_objects()) < 8
