"""Memory that a process shares with those it starts. It has no name: it is gone with the last that holds it,
however they end, and no container's limit on /dev/shm applies to it. Linux alone has it.
"""

import ctypes
import mmap
import os
import weakref
from functools import cache

import numpy as np
from jaxtyping import UInt8

_CLOSE_ON_EXEC = 1
"""``MFD_CLOEXEC``."""

Bytes = UInt8[np.ndarray, " n"]


class Memory:
    """``size`` bytes. ``path`` is where processes of the same user find them while this object lives."""

    def __init__(self, size: int) -> None:
        file = _create()
        weakref.finalize(self, os.close, file)
        os.ftruncate(file, size)
        self.path = f"/proc/{os.getpid()}/fd/{file}"
        self._map = mmap.mmap(file, size)

    def bytes(self) -> Bytes:
        """All of it, as a new array, which keeps it mapped."""
        return np.frombuffer(self._map, np.uint8)


def _create() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mvcgc-batch")
    # Python as conda builds it lacks the function, for the sake of systems that do.
    library = ctypes.CDLL(None, use_errno=True)
    file: int = library.memfd_create(b"mvcgc-batch", _CLOSE_ON_EXEC)
    if file < 0:
        raise OSError(ctypes.get_errno(), "memfd_create")
    return file


class Memories:
    """Memory of one size, used again and again."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[Memory] = []

    def take(self) -> tuple[str, Bytes]:
        """Memory that nobody uses: its path, and an array of it. It is used until the last view of that is
        gone.
        """
        memory = self._free.pop() if self._free else Memory(self._size)
        whole = memory.bytes()
        weakref.finalize(whole, _give_back, weakref.ref(self), memory).atexit = False
        return memory.path, whole


def _give_back(owner: "weakref.ref[Memories]", memory: Memory) -> None:
    if (memories := owner()) is not None:
        memories._free.append(memory)


@cache
def attached(path: str) -> Bytes:
    """Another process's memory."""
    with open(path, "r+b") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint8)
