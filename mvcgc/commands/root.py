"""The folder of all runs that a command looks at."""

import os
from pathlib import Path

ROOT_VARIABLE = "MVCGC_ROOT"
DEFAULT_ROOT = "runs"
"""Equal to the configuration's default, which takes seconds to import."""


def root() -> Path:
    """Return the folder of all runs; the configuration reads the same variable."""
    return Path(os.environ.get(ROOT_VARIABLE, DEFAULT_ROOT))
