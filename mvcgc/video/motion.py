"""From vectors to motion per frame: which reference, over what distance, and what B-frames borrow.

Motion is the content's, from the past to the current frame, divided by the frames in between.

- **Distance.** In MPEG-1, MPEG-2, MPEG-4 part 2, H.263 and their kin a past reference is the anchor before,
  so the distance is known. H.264 does not export its choice among several references: the distance is
  *assumed* to be that to the nearest one, unless the pictures contradict (`distances`). Block matching: 1.
- **Past and future.** Where a block has both references, the past one counts: it spans the time asked for.
- **Future only.** The future reference's own vector M at the same cell spans the time from its past
  reference, before the B-frame, to itself; the block's vector F the time from the B-frame to there. M - F is
  the content's motion from that past reference to the B-frame. (F alone would be the motion *after* the
  frame, which in a shaking picture is another.) M may have been found in this way itself; without M the cell
  is invalid.
- **MPEG-4 part 2 B-frames** export vectors that are all zero. Their motion is that of the following P-frame,
  as in the codec's direct mode: the co-located vector scaled by temporal distance, which per frame of
  distance is the very same. Where an I-frame follows, or nothing, it is unknown.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from mvcgc.video.references import VOID, Place, may_refer
from mvcgc.video.vectors import NO_VECTORS, Fields, Grid, Raw


class Record(NamedTuple):
    """What is kept of a decoded frame for its motion.

    Attributes:
        place: where the frame stands among the references.
        raw: its vectors with their distances; None for a frame that borrows the next anchor's.
    """

    place: Place
    raw: Raw | None


def borrows(codec: str, place: Place) -> bool:
    """Whether a frame's exported vectors are void (all zero), so that it takes the next anchor's."""
    return codec in VOID and not place.anchor


def assemble(
    grid: Grid, frames: range, records: Mapping[int, Record]
) -> tuple[Float32[np.ndarray, "T h w 2"], Bool[np.ndarray, "T h w"]]:
    """Motion of consecutive ``frames`` in pixels per frame; with ``records`` up to the anchor after the last.

    Returns:
        mv float32 [T, h, w, 2] and valid bool [T, h, w].
    """
    # In decode order, so that a B-frame's future reference, if it is a B-frame itself, comes before it.
    kept = sorted((r.place.order, index, r.raw) for index, r in records.items() if r.raw is not None)
    # An empty frame at the end stands for what is unknown.
    fields = grid.raster([*(raw for _, _, raw in kept), NO_VECTORS])
    slots = {index: slot for slot, (_, index, _) in enumerate(kept)}
    places = [records[index].place for index in sorted(records)]
    _fill_from_future(fields, _futures(places, slots))
    sources = [slots[index] if index in slots else _next_anchor(index, places, slots) for index in frames]
    distance = fields.distance[sources]
    mv = fields.past[sources]
    valid = distance > 0
    if distance.max() > 1:
        frames_apart = np.maximum(distance, 1).astype(np.float32)
        for axis in (
            0,
            1,
        ):  # over the cells; a loop over the two numbers of each would take ten times as long
            mv[..., axis] /= frames_apart
    return mv, valid


class _Future(NamedTuple):
    """Whose motion helps the B-frame of ``slot``: that of slot ``target``, ``frames`` frames after it."""

    slot: int
    target: int
    frames: int


def _next_anchor(index: int, places: Sequence[Place], slots: Mapping[int, int]) -> int:
    """The slot of the anchor after frame ``index``; -1, the empty frame's, if there is none."""
    return next((slots[place.index] for place in places if place.index > index and place.anchor), -1)


def _futures(places: Sequence[Place], slots: Mapping[int, int]) -> list[_Future]:
    """Each B-frame with the nearest frame after it that it may refer to; ``places`` in display order."""
    found = []
    for number, place in enumerate(places):
        if place.anchor or place.index not in slots:
            continue
        target = next((p for p in places[number + 1 :] if may_refer(place, p)), None)
        if target is not None:
            found.append(_Future(slots[place.index], slots[target.index], target.index - place.index))
    return found


def _fill_from_future(fields: Fields, futures: Sequence[_Future]) -> None:
    """Fill, in place, the cells whose only reference lies in the future: M - F."""
    waiting = [f for f in futures if fields.ahead[f.slot] >= 0]
    # A vector, two floats, as one word.
    past, future = fields.past.view(np.int64).reshape(-1), fields.future.view(np.int64).reshape(-1)
    while waiting:
        # All at once, but for frames whose future reference is itself still to be filled.
        unfilled = {f.slot for f in waiting}
        ready = [f for f in waiting if f.target not in unfilled]
        waiting = [f for f in waiting if f.target in unfilled]
        slot, target = np.array([(f.slot, f.target) for f in ready]).T
        ahead = fields.ahead[slot]
        distance = fields.distance[target] - np.array([f.frames for f in ready], np.int32)[:, None, None]
        missing = fields.future_valid[ahead] & (distance > 0) & (fields.distance[slot] == 0)
        gaps = np.flatnonzero(missing)
        n, cell = np.divmod(gaps, missing[0].size)
        theirs, own = (
            words.take(of[n] * missing[0].size + cell).view(np.float32)
            for words, of in ((past, target), (future, ahead))
        )
        here = slot[n] * missing[0].size + cell
        past[here] = (theirs - own).view(np.int64)
        fields.distance.reshape(-1)[here] = distance.reshape(-1)[gaps]
