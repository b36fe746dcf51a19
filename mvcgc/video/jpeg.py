"""Pictures and optical flow as JPEG files: how two-stream networks are fed (Simonyan and Zisserman 2014).

Every frame of a video is a picture of its own size, and so are the two components of the flow from the frame
before, cut off at 20 pixels, as grey values. It is what the literature stores before it trains or tests
(TSN's tools, CoCLR); here it is made to be measured beside the compressed video.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16, Float32, UInt8

from mvcgc.video.clip import Box, ClipRequest
from mvcgc.video.colour import from_jpeg, to_grey
from mvcgc.video.flow import FlowMethod, estimator
from mvcgc.video.info import VideoInfo
from mvcgc.video.reader import Reader

BOUND = 20.0
"""Longer components of the flow are cut off, pixels per frame."""

_CHUNK = 32
"""Frames held decoded at a time."""


def store(source: Path, info: VideoInfo, folder: Path, method: FlowMethod) -> int:
    """Decode all frames of ``source``, and leave them and the flow between them in ``folder``, which exists.

    Returns:
        bytes of all files.

    Raises:
        VideoError: as `Reader`.
        OSError: a file cannot be written.
        ModuleNotFoundError: OpenCV is not installed.
    """
    cv2, estimate = estimator(method)
    before = None
    with Reader(source, info) as reader:
        for start in range(0, info.frames, _CHUNK):
            frames = min(_CHUNK, info.frames - start)
            request = ClipRequest(start, frames, size=(info.height, info.width))
            (clip,) = reader.read([request], motion=False, more=True)
            assert clip.planes is not None
            greys = to_grey(clip.planes[0])
            for index, (rgb, grey) in enumerate(zip(clip.rgb, greys, strict=True), start):
                _write(cv2, folder / f"{index}.jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
                if before is not None:
                    field = estimate.calc(before, grey, None)
                    for axis, name in enumerate("xy"):
                        _write(cv2, folder / f"{name}{index}.jpg", _to_grey(field[..., axis]))
                before = grey
    return sum(file.stat().st_size for file in folder.iterdir())


def load(
    folder: Path,
    draws: Sequence[tuple[int, Box]],
    planes: UInt8[np.ndarray, "N 3 T S S"] | None,
    motion: Float16[np.ndarray, "N T s s 2"] | None,
) -> None:
    """Read the clips that ``draws``, (start, crop) each, ask for from what `store` has left, into arrays.

    Each file is read once. Pictures are planes of BT.601. Motion is in pixels of the result, as in
    `mvcgc.data.clips.modalities.read_views`; frame 0 repeats frame 1.

    Raises:
        OSError: a file is not there.
    """
    import cv2

    given = [array for array in (planes, motion) if array is not None]
    frames = planes.shape[2] if planes is not None else given[0].shape[1]
    first: dict[tuple[int, Box], int] = {}
    for number, draw in enumerate(draws):
        first.setdefault(draw, number)
    showing: dict[int, list[tuple[int, int, Box]]] = {}
    for (start, crop), number in first.items():
        for time in range(frames):
            showing.setdefault(start + time, []).append((number, time, crop))
    for index, places in showing.items():
        if planes is not None:
            picture = _read(cv2, folder / f"{index}.jpg", cv2.IMREAD_COLOR)
            for number, time, crop in places:
                small = cv2.cvtColor(_resized(cv2, picture, crop, planes.shape[-1]), cv2.COLOR_BGR2YCrCb)
                planes[number, :, time] = from_jpeg(small.transpose(2, 0, 1)[[0, 2, 1]])
        if motion is not None:
            parts = [_read(cv2, folder / f"{name}{max(index, 1)}.jpg", cv2.IMREAD_GRAYSCALE) for name in "xy"]
            field = np.stack(parts, axis=-1)
            side = motion.shape[2]
            for number, time, crop in places:
                scale = np.array([side / crop.width, side / crop.height], np.float32)
                motion[number, time] = _from_grey(_resized(cv2, field, crop, side)) * scale
    for number, draw in enumerate(draws):
        if (same := first[draw]) != number:
            for array in given:
                array[number] = array[same]


def _to_grey(component: Float32[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    scaled = (component.clip(-BOUND, BOUND) + BOUND) * (255 / (2 * BOUND))
    return np.rint(scaled).astype(np.uint8)


def _from_grey(grey: UInt8[np.ndarray, "s s 2"]) -> Float32[np.ndarray, "s s 2"]:
    return grey * np.float32(2 * BOUND / 255) - np.float32(BOUND)


def _resized(cv2: Any, picture: UInt8[np.ndarray, "H W C"], crop: Box, side: int) -> Any:
    part = picture[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    return cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR)


def _write(cv2: Any, path: Path, picture: Any) -> None:
    if not cv2.imwrite(str(path), picture):
        raise OSError(f"{path}: cannot be written")


def _read(cv2: Any, path: Path, flags: int) -> Any:
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise FileNotFoundError(f"{path}: cannot be read")
    return picture
