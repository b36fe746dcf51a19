"""Exit codes of all commands, and the one line for a user's mistake."""

import os
import sys
from collections.abc import Callable

from mvcgc.errors import UserError

FAILED = 1
MISTAKE = 2
INTERRUPTED = 130
CUT_OFF = 141


def exit_code_of(command: Callable[[], int | None]) -> int:
    """Run ``command``; its exit code, or 1 if MLflow fails it, 2 if it cannot do what the user asks.

    Both print ``error: ...``, one line on stderr. Real bugs keep their traceback.
    """
    try:
        return command() or 0
    except UserError as error:
        return _say(error, MISTAKE)
    except SystemExit as leaving:  # Hydra, after its help
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as with `| head`: nobody reads on, not even what Python flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_OFF
    except Exception as error:
        code = _code_of(error)
        if code is None:
            raise
        return code


def _code_of(error: Exception) -> int | None:
    """Return the exit code of a known failure, None for a bug.

    The imports take seconds, and most commands end without an error.
    """
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
