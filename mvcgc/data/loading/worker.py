"""The code of worker processes: decode clips straight into memory shared with the loader.

Nothing here imports torch (see `mvcgc.data.clips.item`).
"""

import os
import signal
import threading

from mvcgc.data.clips.item import Item, Sample, Unread
from mvcgc.data.loading import malloc
from mvcgc.data.loading.shared_memory import attached
from mvcgc.die_with_parent import die_with

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
"""Schedulers send these to every process of a job; workers go on, so that the step can end and be saved."""


def settle(parent: int) -> None:
    """Be deaf to the scheduler, obey the parent's terminate(), and die with the parent however it dies."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_obey, args=(parent,), daemon=True).start()
    malloc.keep_freed()
    die_with(parent, signal.SIGKILL)


def read(item: Item, path: str, clips: int, first: int) -> Sample | Unread:
    """Read ``item`` into the shared memory at ``path``, which holds ``clips`` clips, from ``first`` on."""
    return item.read(item.format.within(attached(path), clips), first)


def _obey(parent: int) -> None:
    """Leave on a SIGTERM from the parent itself: so multiprocessing ends what its parent leaves."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)
