"""What can be wrong with a video file, as one exception with a machine-readable reason."""

from enum import Enum
from pathlib import Path


class Reason(Enum):
    """Why a file, or a clip of it, cannot be used."""

    UNREADABLE = "unreadable"
    """No container that can be opened: absent, empty, text, or without its index."""
    NO_VIDEO = "no_video"
    """A sound container without a video stream that can be decoded."""
    CORRUPT = "corrupt"
    """The stream does not decode, or decodes differently from what the probe saw."""
    TRUNCATED = "truncated"
    """The file ends before the clip does."""
    TOO_SHORT = "too_short"
    """The video has fewer frames than the clip asks for."""
    NO_VECTORS = "no_vectors"
    """The codec exports no motion vectors and block matching is not switched on."""
    RESOLUTION = "resolution"
    """The frames change their size within the stream, or have another one than the probe saw."""
    CHANGED = "changed"
    """The file is no longer the one that was probed."""


class VideoError(Exception):
    """A video file cannot give what was asked of it.

    Attributes:
        path: the file.
        reason: what kind of failure it is.
        detail: the cause, in one line without the file's name; the message itself is ``<path>: <detail>``.
    """

    def __init__(self, path: Path | str, reason: Reason, detail: str) -> None:
        self.path = str(path)
        self.reason = reason
        self.detail = " ".join(detail.split())
        # A name that is not UTF-8 is shown with escapes.
        shown = self.path.encode("utf-8", "backslashreplace").decode()
        super().__init__(f"{shown}: {self.detail}")

    def __reduce__(self) -> tuple[type["VideoError"], tuple[str, Reason, str]]:
        """Survive the pickling between a loader's worker and its parent."""
        return VideoError, (self.path, self.reason, self.detail)
