"""Reading clips of one video as all of a network's modalities, in one pass over the file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from mvcgc.data.clips.modality import Decoded, Modality, Vectors
from mvcgc.data.clips.motion import motion_field
from mvcgc.data.clips.padding import covered, fill_gaps
from mvcgc.data.clips.sampling import ClipConfig, Draw, MotionConfig
from mvcgc.video import Box, ClipRequest, Matrix, MotionField, Reader, VideoInfo

ViewArrays = dict[str, np.ndarray]
"""View -> its stored clips, [clips, *Modality.shape]; for rgb uint8 [clips, 3, T, S, S] (the planes of
`mvcgc.video.colour`, which become RGB on the device), for motion float16 [clips, T, s, s, 2]."""

_ALIGNMENT = 64
"""Bytes; where an array in shared memory begins."""


@dataclass(frozen=True)
class Format:
    """What is made of a clip: which modality is stored for each view, of what size."""

    modalities: Mapping[str, Modality]
    clip: ClipConfig
    motion: MotionConfig

    @property
    def vectors(self) -> Vectors | None:
        """Return which motion vectors any of the modalities is made of."""
        kinds = {modality.vectors for modality in self.modalities.values()} - {None}
        assert len(kinds) <= 1, "check_views refuses such"
        return next(iter(kinds), None)

    def size(self, view: str) -> int:
        """Return the side of the clips of ``view`` in pixels."""
        return self.modalities[view].size(self.clip, self.motion)

    def empty(self, clips: int) -> ViewArrays:
        """Room for so many clips."""
        return {view: np.empty(self._shape(view, clips), self._dtype(view)) for view in self.modalities}

    def within(self, memory: UInt8[np.ndarray, " n"], clips: int) -> ViewArrays:
        """Room for so many clips in memory of `nbytes`, the same whoever asks."""
        arrays, start = {}, 0
        for view in self.modalities:
            size = self._nbytes(view, clips)
            one = memory[start : start + size].view(self._dtype(view))
            arrays[view] = one.reshape(self._shape(view, clips))
            start += _aligned(size)
        return arrays

    def nbytes(self, clips: int) -> int:
        """The memory that `within` takes for so many clips."""
        return sum(_aligned(self._nbytes(view, clips)) for view in self.modalities)

    def _shape(self, view: str, clips: int) -> tuple[int, ...]:
        return (clips, *self.modalities[view].shape(self.clip.frames, self.size(view)))

    def _dtype(self, view: str) -> np.dtype:
        return np.dtype(self.modalities[view].dtype)

    def _nbytes(self, view: str, clips: int) -> int:
        return math.prod(self._shape(view, clips)) * self._dtype(view).itemsize


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def read_views(
    path: Path,
    info: VideoInfo,
    draws: Sequence[Draw],
    form: Format,
    arrays: ViewArrays,
    *,
    mestimate: bool,
) -> Matrix:
    """Write the clips that ``draws`` ask for, in their order, into ``arrays`` (see `Format.empty`), in one
    pass over the file; the way from their planes to RGB. Flips are left to `mvcgc.data.inputs`.

    A video shorter than a clip is padded as ``clip.pad`` says: all modalities of its frames are repeated
    alike.

    Raises:
        VideoError: as `Reader`.
    """
    clip = form.clip
    place = covered(clip.pad, info.frames, clip.frames)
    shown = place.stop - place.start
    # Decode each distinct (start, crop) once; copy it for duplicates.
    first: dict[tuple[int, Box], int] = {}
    for number, draw in enumerate(draws):
        first.setdefault((draw.start, draw.crop), number)
    wanted = sorted(first, key=_order)
    sizes = {view: form.size(view) for view, modality in form.modalities.items() if modality.planes}
    least = min(sizes.values(), default=None)
    own = {
        number: {view: form.modalities[view].part_of(array[number], place) for view, array in arrays.items()}
        for number in first.values()
    }
    keys = [(start, crop, size) for start, crop in wanted for size in sorted(set(sizes.values())) or (None,)]
    into = [_room(form, own[first[start, crop]], size) for start, crop, size in keys]
    vectors = form.vectors
    with Reader(
        path, info, mestimate=mestimate, recode=vectors is Vectors.RECODED, pictures=bool(sizes)
    ) as reader:
        requests = [_request(*key, shown) for key in keys]
        clips = dict(zip(keys, reader.read(requests, vectors is not None, into), strict=True))

    fields: dict[int, MotionField] = {}
    for start, crop in wanted:
        for view, modality in form.modalities.items():
            one = clips[start, crop, sizes.get(view, least)]
            if modality.vectors and start not in fields:
                fields[start] = motion_field(one, form.motion.cell)
            decoded = Decoded(
                planes=one.planes if modality.planes else None,
                field=fields[start] if modality.vectors else None,
                cell=form.motion.cell,
                crop=crop,
            )
            modality.make(decoded, own[first[start, crop]][view])
    _complete(form, arrays, draws, first, place)
    return clips[keys[0]].matrix


def _complete(
    form: Format,
    arrays: ViewArrays,
    draws: Sequence[Draw],
    first: Mapping[tuple[int, Box], int],
    place: slice,
) -> None:
    """Pad clips of a short video, and copy clips that several draws show alike."""
    if place.stop - place.start < form.clip.frames:
        for view, number in product(form.modalities, first.values()):
            fill_gaps(form.modalities[view].time_first(arrays[view][number]), place)
    for number, draw in enumerate(draws):
        if (same := first[draw.start, draw.crop]) != number:
            for array in arrays.values():
                array[number] = array[same]


def _room(
    form: Format, own: Mapping[str, np.ndarray], size: int | None
) -> UInt8[np.ndarray, "3 T S S"] | None:
    """Return where planes of ``size`` are decoded to: into the clip of the first modality that has room."""
    for view, modality in form.modalities.items():
        if modality.planes and form.size(view) == size:
            room = modality.room(own[view])
            if room is not None:
                return room
    return None


def _order(key: tuple[int, Box]) -> tuple[int, int, int, int, int]:
    start, box = key
    return start, box.top, box.left, box.height, box.width


def _request(start: int, crop: Box, size: int | None, frames: int) -> ClipRequest:
    return ClipRequest(start, frames, crop if size else None, (size, size) if size else None)
