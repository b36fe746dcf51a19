"""Compressed Video Contrastive Learning (MVCGC, NeurIPS 2021), orchestrated from video files to tables.

Python interface, each imported when it is first used:

- `results`: metrics of sweeps as a pandas table.
- `open_video`: frames, motion and clips of a video file.
- `load_encoder`: a pre-trained encoder, from a file that ``mvcgc export`` has written.
- `compose`: the checked configuration of a list of overrides.

The program is ``mvcgc`` in a shell; see ``mvcgc --help``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mvcgc.api.results import results
    from mvcgc.api.video import open_video
    from mvcgc.config.compose import compose
    from mvcgc.models.pretrained import load_encoder

__all__ = ["__version__", "compose", "load_encoder", "open_video", "results"]

__version__ = "0.1.0"

_MODULES = {
    "compose": "mvcgc.config",
    "load_encoder": "mvcgc.models.pretrained",
    "open_video": "mvcgc.api.video",
    "results": "mvcgc.api.results",
}


def __getattr__(name: str) -> Any:
    """Import a function on first use (PEP 562): torch takes seconds, ``import mvcgc`` none."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    """List the interface, for notebooks and ``help``."""
    return sorted(__all__)
