"""How every command ends: its exit code, and one line for a user's mistake."""

import os
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

    Both are told as ``error: ...``, one line on stderr. Real bugs keep their traceback.
    """
    try:
        with user_errors():
            return command() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE
    except CollectError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except StagesFailed as failure:
        return failure.exit_code
    except SystemExit as leaving:  # Hydra, after its help
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as with `| head`: nobody reads on, not even what Python flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_OFF
