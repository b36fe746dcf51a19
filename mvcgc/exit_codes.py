"""How every command ends: its exit code, and one line for a user's mistake."""

import os
import select
import sys
from collections.abc import Callable

from mvcgc.collect import CollectError
from mvcgc.config import user_errors
from mvcgc.errors import UserError
from mvcgc.sweep import StagesFailed

FAILED = 1
MISTAKE = 2
INTERRUPTED = 130
CUT_OFF = 141


def exit_code_of(command: Callable[[], int | None]) -> int:
    """Run ``command``; its exit code, or 1 where MLflow fails it, 2 where it cannot do what the user asks.

    Both are told as ``error: ...``, one line on stderr. Real bugs keep their traceback. Where nobody reads
    stdout to its end, as with ``| head``, the command ends without a message.
    """
    try:
        code = _code_of(command)
        sys.stdout.flush()
    except BrokenPipeError:
        if _stdout_is_read():
            raise
        # Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_OFF
    return code


def _code_of(command: Callable[[], int | None]) -> int:
    try:
        with user_errors():
            return command() or 0
    except (UserError, CollectError) as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE if isinstance(error, UserError) else FAILED
    except StagesFailed as failure:
        return failure.exit_code
    except SystemExit as leaving:  # Hydra, after its help
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED


def _stdout_is_read() -> bool:
    """Return whether the other end of stdout is open, so that another pipe is the broken one."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return not poll.poll(0)
