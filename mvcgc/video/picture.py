"""From a decoded picture to RGB: crop, scale and rotate, at the cost of the crop alone.

The conversion of reference is libswscale's, bilinear (which averages over the source area when it shrinks),
with exact rounding, from the colour space and range that the stream is tagged with (BT.601, limited range, if
it is not). Luma is cropped to the pixel; subsampled chroma to its own grid, so with an odd offset the colour
lies one pixel off; at the edges of a crop it is interpolated from the crop alone.
"""

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8

from mvcgc.video.clip import Box

EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_EXACT = int(EXACT)


class Converter:
    """Turns decoded frames of one video into RGB of one crop and size.

    Keeps the scaler, whose set-up costs as much as ten pictures, and the cropper, which copies nothing.
    """

    def __init__(self, rotation: int, crop: Box | None, size: tuple[int, int]) -> None:
        """``crop`` is in the decoded picture's own pixels, ``size`` (height, width) is after the rotation."""
        self._turns, self._crop = rotation // 90, crop
        self._size = size if rotation % 180 == 0 else size[::-1]
        self._scaler = VideoReformatter()
        self._cropper: Graph | None = None

    def convert(self, frame: VideoFrame, out: UInt8[np.ndarray, "H W 3"]) -> None:
        """Write the RGB picture into ``out``."""
        if self._crop is not None:
            if self._cropper is None:
                box = self._crop
                where = f"{box.width}:{box.height}:{box.left}:{box.top}:exact=1"
                self._cropper = filter_graph(frame, "crop", where)
            self._cropper.vpush(frame)
            frame = self._cropper.vpull()
        height, width = self._size
        scaled = self._scaler.reformat(frame, width, height, "rgb24", interpolation=_EXACT, threads=1)
        picture = plane_rows(scaled.planes[0])[:, : 3 * width].reshape(height, width, 3)
        # rot90 turns counterclockwise, and takes its time also where there is nothing to turn.
        out[:] = np.rot90(picture, -self._turns) if self._turns else picture


def filter_graph(frame: VideoFrame, name: str, options: str) -> Graph:
    """A graph of the one libavfilter filter ``name``, for pictures like ``frame``; single-threaded."""
    graph = Graph()
    graph.threads = 1
    like = (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/25:pixel_aspect=1/1"
    )
    source = graph.add("buffer", like)
    middle = graph.add(name, options)
    sink = graph.add("buffersink")
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    return graph


def plane_rows(plane: VideoPlane) -> UInt8[np.ndarray, "H stride"]:
    """All rows of a plane with their padding, as a view."""
    data: UInt8[np.ndarray, " n"] = np.frombuffer(memoryview(plane), np.uint8)
    return data.reshape(-1, plane.line_size)
