"""From a decoded picture to the planes of `colour`: crop, scale and rotate, at the cost of the crop alone.

The conversion of reference is libswscale's, bilinear (which averages over the source area when it shrinks),
with exact rounding, to 4:4:4 and limited range, in the colour space that the picture is tagged with. What is
left to do to RGB is linear, and done on the device (`mvcgc.data.inputs`): here it would take as long again.
Luma is cropped to the pixel; subsampled chroma to its own grid, so with an odd offset the colour lies one
pixel off; at the edges of a crop it is interpolated from the crop alone.
"""

import zlib
from collections.abc import Callable
from functools import lru_cache
from threading import local

import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8

from mvcgc.video.clip import Box
from mvcgc.video.colour import Matrix
from mvcgc.video.info import UPRIGHT, Orientation
from mvcgc.video.orientation import turned

EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_EXACT = int(Interpolation.BILINEAR | Interpolation.BITEXACT)
"""From planes to planes the same to the bit, on every processor, in less time for some widths."""

_BT601 = Matrix.BT601, int(Colorspace.ITU601.value)
_BT2020 = Matrix.BT2020, int(Colorspace.BT2020.value)
_TARGETS = {1: (Matrix.BT709, int(Colorspace.ITU709.value)), 9: _BT2020, 10: _BT2020}
"""libav's numbers of colour spaces -> ours, and libswscale's number. Other tags are converted to BT.601; none
counts as that."""

_PLANES = VideoFormat("yuv444p")

_LIMITED = int(ColorRange.MPEG.value)

SCALERS = 16
"""Scalers that a thread keeps."""


class _Scalers(local):
    """A thread's own; ``of`` pictures of which height and width, made into which."""

    def __init__(self) -> None:
        self.of: Callable[[int, int, int, int], VideoReformatter]
        self.of = lru_cache(SCALERS)(lambda *sizes: VideoReformatter())  # noqa: ARG005  # told apart by sizes


_scalers = _Scalers()


class Converter:
    """Turns decoded frames of one video into planes of one crop and size.

    Keeps the cropper, which copies nothing; and the scaler, whose set-up costs as much as two pictures, also
    for the thread's next clip of these sizes.
    """

    def __init__(
        self, orientation: Orientation, crop: Box | None, planes: UInt8[np.ndarray, "3 T H W"]
    ) -> None:
        """``crop`` is in the decoded picture's own pixels. ``planes``, in C order and of the upright size, is
        where the pictures go.
        """
        self._orientation, self._crop, self._planes = orientation, crop, planes
        self._turns = orientation != UPRIGHT
        height, width = planes.shape[2:]
        self._size = (height, width) if orientation.rotation % 180 == 0 else (width, height)
        self._bytes = [memoryview(plane).cast("B") for plane in planes]
        self._scaler: VideoReformatter | None = None
        self._cropper: Graph | None = None
        self._format = ""

    def convert(self, frame: VideoFrame, number: int) -> Matrix:
        """Write the planes of picture ``number``; which matrix leads from there to RGB."""
        matrix, colorspace = _TARGETS.get(frame.colorspace, _BT601)
        if self._crop is not None:
            if self._cropper is None or frame.format.name != self._format:
                self._format, box = frame.format.name, self._crop
                where = f"{box.width}:{box.height}:{box.left}:{box.top}:exact=1"
                self._cropper = filter_graph(frame, "crop", where)
            self._cropper.vpush(frame)
            frame = self._cropper.vpull()
        height, width = self._size
        if self._scaler is None:
            self._scaler = _scalers.of(frame.height, frame.width, height, width)
        scaled = self._scaler.reformat(
            frame,
            width,
            height,
            _PLANES,  # type: ignore[arg-type]  # a name, as its stub has it, is looked up each time
            dst_colorspace=colorspace,
            interpolation=_EXACT,
            dst_color_range=_LIMITED,
            threads=1,
        ).planes
        if self._turns or scaled[0].line_size != width:
            for plane, out in zip(scaled, self._planes, strict=True):
                out[number] = turned(_view(plane, self._size), self._orientation)
        else:  # row follows row as in ``out``, and bytes take half the time of arrays
            start, stop = number * height * width, (number + 1) * height * width
            for plane, out in zip(scaled, self._bytes, strict=True):
                out[start:stop] = plane
        return matrix


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


def checksum(frame: VideoFrame) -> int:
    """Checksum of the luma of a frame (of half of it, if it has more than 8 bits)."""
    return zlib.crc32(plane_rows(frame.planes[0])[: frame.height, : frame.width].tobytes())


def plane_rows(plane: VideoPlane) -> UInt8[np.ndarray, "H stride"]:
    """All rows of a plane with their padding, as a view."""
    stride = plane.line_size
    return _view(plane, (plane.buffer_size // stride, stride))


def _view(plane: VideoPlane, shape: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """The first pixels of the first rows, without a copy."""
    # In one call: it is made for every plane of every picture.
    return np.ndarray(shape, np.uint8, plane, 0, (plane.line_size, 1))  # type: ignore[arg-type]  # a buffer
