"""Tie a process to its parent, here or for a command: ``die_with_parent.py <parent pid> <command> ...``.

A rank or worker whose parent was killed would keep running, holding memory and GPUs unwatched. Linux signals
a process once its parent is gone; the setting survives exec. The executor runs this file by path, not as a
module: a rank must start in milliseconds, without torch.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
ORPHANED = 3
"""Exit code of a process whose parent died first."""


def die_with(parent: int, received: signal.Signals) -> None:
    """Have Linux send ``received`` to this process once ``parent``, which started it, is gone."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, int(received), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the setting
        os._exit(ORPHANED)


def main() -> None:
    """Replace this process by the command. A rank saves its checkpoint on SIGTERM."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    die_with(parent, signal.SIGTERM)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
