"""Runs a command that dies with its parent: ``die_with_parent.py <parent pid> <command> ...``.

A rank whose executor was killed would keep running, holding memory and GPUs unwatched. Linux sends
SIGTERM to this process once its parent is gone; that setting survives exec, so the rank itself receives it,
saves its checkpoint and ends. Run by path, not as a module: it must start in milliseconds, without torch.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Replace this process by the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the setting
        sys.exit(3)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
