"""Compressed Video Contrastive Learning (MVCGC, NeurIPS 2021), orchestrated from video files to tables."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mvcgc.models.pretrained import load_encoder as load_encoder

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``load_encoder``, imported when it is asked for: torch takes seconds, ``import mvcgc`` none."""
    if name == "load_encoder":
        from mvcgc.models.pretrained import load_encoder

        return load_encoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
