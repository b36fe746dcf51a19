"""Clips of a file: pictures and motion of the same frames, any number of clips in one pass."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import UInt8

from mvcgc.video.blocks import BlockMatcher
from mvcgc.video.clip import Clip, ClipRequest
from mvcgc.video.colour import Matrix
from mvcgc.video.container import GROUP, converting
from mvcgc.video.coviar import Recoder
from mvcgc.video.distances import Distances
from mvcgc.video.errors import Reason, VideoError
from mvcgc.video.info import VideoInfo
from mvcgc.video.motion import Record, assemble
from mvcgc.video.orientation import coded_box, upright
from mvcgc.video.picture import Converter
from mvcgc.video.references import VOID, Place, Shown
from mvcgc.video.stream import FrameStream
from mvcgc.video.vectors import Grid, Raw, Vectors


class Reader:
    """Reads clips of one file, which stays open. Not to be shared between threads or processes.

    Example:
        >>> info = probe(path)
        >>> with Reader(path, info) as reader:
        ...     requests = [ClipRequest(0, 16, size=(128, 128)), ClipRequest(40, 16)]
        ...     both, motion_only = reader.read(requests, motion=True)
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        mestimate: bool = False,
        recode: bool = False,
        pictures: bool = True,
    ) -> None:
        """Open ``path``, which `probe` described as ``info``.

        ``mestimate`` permits block matching instead of vectors where the codec exports none. With ``recode``
        motion is that of the video encoded again (`coviar`). Without ``pictures`` only motion can be read,
        the sooner.

        Raises:
            VideoError: UNREADABLE or NO_VIDEO.
        """
        self._path, self._info, self._mestimate = path, info, mestimate
        self._recode, self._pictures = recode, pictures
        self._void = info.codec in VOID
        # Blocks are matched on pictures.
        stored = info.vectors and not recode
        self._stream = FrameStream(self._path, info, export=stored, pictures=pictures or not stored)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def read(
        self,
        requests: Sequence[ClipRequest],
        motion: bool,
        planes: Sequence[UInt8[np.ndarray, "3 T H W"] | None] | None = None,
        more: bool = False,
    ) -> list[Clip]:
        """Read clips, sorted by start, in one pass over the file; one clip per request, in their order.

        ``planes`` are arrays to write the pictures into, one per request, each plane in C order; where it has
        none, and the request has a size, a new one is made. With ``more``, the next read goes on where this
        one ends; without, one that does decodes from the keyframe on again.

        Raises:
            VideoError: TOO_SHORT, NO_VECTORS, TRUNCATED or CORRUPT.
            ValueError: the requests are not sorted, ask for pictures of a reader without, a crop lies outside
                the picture, or planes are not as its request asks for.
        """
        if any(a.start > b.start for a, b in pairwise(requests)):
            raise ValueError("requests are sorted by start")
        if not self._pictures and any(request.size for request in requests):
            raise ValueError("a reader without pictures reads motion alone")
        stored = motion and self._info.vectors and not self._recode
        if motion and not (self._info.vectors or self._recode or self._mestimate):
            raise VideoError(
                self._path,
                Reason.NO_VECTORS,
                f"{self._info.codec} exports no motion vectors: dataset.mestimate=true matches blocks",
            )
        parts = list[_Part]()
        for request, place in zip(requests, planes or [None] * len(requests), strict=True):
            parts.append(
                _Part(
                    request,
                    self._path,
                    self._info,
                    motion,
                    planes=place,
                    estimator=self._estimator(motion),
                    before=parts,
                )
            )
        distances = Distances()
        position, decoded = -1, list[Shown]()
        stop = self._info.frames if more else max((request.stop for request in requests), default=0)
        while (position := self._next(parts, position + 1)) >= 0:
            # Up to the end of a clip that has begun every frame is wanted.
            end = max([position + 1, *(request.stop for request in requests if request.start <= position)])
            for shown in self._stream.run(position, end, stop):
                position = shown.place.index
                for part in parts:
                    part.note(shown.place)
                decoded.append(shown)
                if len(decoded) == GROUP:
                    self._take(decoded, parts, distances if stored else None)
        self._take(decoded, parts, distances if stored else None)
        vectors = distances.vectors()
        return [part.clip(vectors) for part in parts]

    def _take(self, decoded: list[Shown], parts: Sequence["_Part"], distances: Distances | None) -> None:
        """Give all parts what they need of the frames, and let go of these."""
        # Once for all clips that show a frame; an estimator is each clip's own.
        records = [None if distances is None else self._record(shown, distances) for shown in decoded]
        with converting(self._path):
            for shown, record in zip(decoded, records, strict=True):
                for part in parts:
                    part.take(shown, record)
        decoded.clear()

    def _estimator(self, motion: bool) -> BlockMatcher | Recoder | None:
        """Return what finds the vectors of one clip; None where they are those of the file."""
        if not motion or (self._info.vectors and not self._recode):
            return None
        return Recoder() if self._recode else BlockMatcher()

    def _record(self, shown: Shown, distances: Distances) -> Record:
        if self._void and not shown.place.anchor:
            return Record(shown.place, None)
        return Record(shown.place, distances.add(shown))

    def _next(self, parts: list["_Part"], position: int) -> int:
        """The next frame from ``position`` on that some clip needs, -1 if there is none."""
        needed = [n for part in parts if (n := part.needs(position)) >= 0]
        return min(needed, default=-1)


class _Part:
    """One clip while it is read."""

    def __init__(
        self,
        request: ClipRequest,
        path: Path,
        info: VideoInfo,
        motion: bool,
        *,
        planes: UInt8[np.ndarray, "3 T H W"] | None,
        estimator: BlockMatcher | Recoder | None,
        before: Sequence["_Part"],
    ) -> None:
        """``before`` are parts that take each frame sooner."""
        if request.stop > info.frames:
            raise VideoError(
                path, Reason.TOO_SHORT, f"has {info.frames} frames, not {request.start}..{request.stop - 1}"
            )
        self._start, self._stop = request.start, request.stop
        self._info, self._motion = info, motion
        self._records: dict[int, Record] = {}
        self._estimator, self._estimated = estimator, list[Raw]()
        self._first = estimator.first(request.start) if estimator else request.start
        self._settled = request.stop if not motion or estimator else info.frames
        self._look = request.crop, request.size
        self._twins = [part for part in before if part._look == self._look]
        self._planes, self._matrix = planes, Matrix.BT601
        if request.size is not None:
            box = request.crop
            if box is not None:
                box.check_within(info.height, info.width)
                whole = (box.height, box.width) == (info.height, info.width)
                box = None if whole else coded_box(box, info.orientation, info.height, info.width)
            shape = (3, request.frames, *request.size)
            if planes is None:
                self._planes = planes = np.empty(shape, np.uint8)
            if planes.shape != shape or planes.dtype != np.uint8 or not planes[0].flags.c_contiguous:
                raise ValueError(f"planes for {request} are uint8 {shape}, each in C order")
            self._converter = Converter(info.orientation, box, planes)

    def needs(self, position: int) -> int:
        """The first frame from ``position`` on that this clip still needs, -1 if it is complete.

        A clip that ends in a B-frame needs the anchor that follows: its vectors, or at least its place.
        """
        position = max(position, self._first)
        return position if position < self._settled else -1

    def note(self, place: Place) -> None:
        """Note that a frame is decoded: with an anchor behind its last frame the clip is complete."""
        if place.anchor and self._stop - 1 <= place.index < self._settled:
            self._settled = place.index + 1

    def take(self, shown: Shown, record: Record | None) -> None:
        """Take what this clip needs of a frame, whose vectors are ``record``."""
        index = shown.place.index
        if not self._first <= index < self._settled:
            return
        if self._planes is not None and self._start <= index < self._stop:
            self._matrix = self._show(shown.frame, index, self._planes)
        if self._estimator is not None:
            # An estimator's reference is always the picture before.
            for answered, raw in self._estimator.push(shown.frame, index, index == self._stop - 1):
                place = Place(answered, 0, anchor=True, reference=True)
                self._records[answered] = Record(place, len(self._estimated))
                self._estimated.append(raw)
        elif record is not None:
            self._records[index] = record

    def _show(self, frame: VideoFrame, index: int, planes: UInt8[np.ndarray, "3 T H W"]) -> Matrix:
        """Write the picture of a frame: that which a clip like this one has just made of it, or a new one."""
        for twin in self._twins:
            if twin._planes is not None and twin._start <= index < twin._stop:
                planes[:, index - self._start] = twin._planes[:, index - twin._start]
                return twin._matrix
        return self._converter.convert(frame, index - self._start)

    def clip(self, vectors: Vectors) -> Clip:
        """The finished clip; ``vectors`` are those of the frames of its records, unless it estimates them."""
        if not self._motion:
            return Clip(self._planes, None, self._matrix)
        info = self._info
        if self._estimator is not None:
            vectors = Vectors.of(self._estimated)
        field = assemble(Grid(*info.coded), range(self._start, self._stop), self._records, vectors)
        return Clip(self._planes, upright(field, info.orientation, info.height, info.width), self._matrix)
