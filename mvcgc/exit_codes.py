"""How every command ends: its exit code, and one line for a user's mistake."""

import os
import select
import sys
from collections.abc import Callable

from mvcgc.errors import UserError

FAILED = 1
MISTAKE = 2
INTERRUPTED = 130
CUT_OFF = 141


def exit_code_of(command: Callable[[], int | None]) -> int:
    """Run ``command``; return its exit code: 1 where MLflow fails it, 2 for a mistake of the user.

    Both print ``error: ...``, one line on stderr. Real bugs keep their traceback. Where nobody reads stdout
    to its end, as with ``| head``, the command ends without a message.
    """
    try:
        code = command() or 0
        sys.stdout.flush()
    except SystemExit as leaving:  # Hydra, after its help
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        known = _code_of(error)
        if known is None:
            raise
        return known
    return code


def _code_of(error: Exception) -> int | None:
    """Report a known failure and return its exit code; None for a bug.

    The imports take seconds, and most commands end without an error.
    """
    if isinstance(error, UserError):
        return _say(error, MISTAKE)
    if isinstance(error, BrokenPipeError):
        return None if _stdout_is_read() else _cut_off()
    from mvcgc.collect import CollectError
    from mvcgc.config import user_errors
    from mvcgc.sweep import StagesFailed

    if isinstance(error, CollectError):
        return _say(error, FAILED)
    if isinstance(error, StagesFailed):
        return error.exit_code
    trace = error.__traceback__
    try:
        with user_errors():
            raise error
    except UserError as mistake:
        return _say(mistake, MISTAKE)
    except type(error):
        error.__traceback__ = trace
        return None


def _say(error: Exception, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


def _cut_off() -> int:
    """Have Python's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CUT_OFF


def _stdout_is_read() -> bool:
    """Return whether the other end of stdout is open, so that another pipe is the broken one."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return not poll.poll(0)
