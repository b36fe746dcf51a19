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

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from mvcgc.video.field import MotionField
from mvcgc.video.references import Place, may_refer
from mvcgc.video.vectors import Blocks, Grid, Vectors


class Record(NamedTuple):
    """What is kept of a decoded frame for its motion.

    Attributes:
        place: where the frame stands among the references.
        number: of the frame among those whose vectors are at hand; None if it borrows the next anchor's.
    """

    place: Place
    number: int | None


def assemble(grid: Grid, frames: range, records: Mapping[int, Record], vectors: Vectors) -> MotionField:
    """Motion of consecutive ``frames``; with ``records`` up to the anchor after the last, whose ``vectors``
    know their distances.
    """
    # In decode order, so that a B-frame's future reference, if it is a B-frame itself, comes before it.
    kept = sorted((r.place.order, index, r.number) for index, r in records.items() if r.number is not None)
    blocks = grid.raster(vectors, [number for _, _, number in kept])
    slots = {index: slot for slot, (_, index, _) in enumerate(kept)}
    places = [records[index].place for index in sorted(records)]
    motion, distance = _fill_from_future(blocks, _futures(places, slots))
    if distance.max() > 1:
        apart = np.maximum(distance, 1).astype(np.float32)
        motion[:, 0] /= apart  # a loop over the two numbers of each would take ten times as long
        motion[:, 1] /= apart
    return MotionField(motion, blocks.past[_sources(frames, places, slots)])


class _Future(NamedTuple):
    """Whose motion helps the B-frame of ``slot``: that of slot ``target``, ``frames`` frames after it."""

    slot: int
    target: int
    frames: int


def _sources(frames: range, places: Sequence[Place], slots: Mapping[int, int]) -> list[int]:
    """The slot whose motion is each frame's: its own, or else that of the anchor after it; -1, that of the
    unknown, if there is none. ``places`` in display order.
    """
    anchors = [place.index for place in places if place.anchor]
    after = [*(slots[index] for index in anchors), -1]
    return [slots.get(index, after[bisect_right(anchors, index)]) for index in frames]


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


def _fill_from_future(
    blocks: Blocks, futures: Sequence[_Future]
) -> tuple[Float32[np.ndarray, "m 2"], Int32[np.ndarray, " m"]]:
    """Fill, in place, the cells whose only reference lies in the future: M - F.

    Returns:
        the motion and the distance of all blocks; each cell that was filled counts as one more.
    """
    motion, distance = blocks.motion, blocks.distance
    past, future, size = blocks.past.reshape(-1), blocks.future.reshape(-1), blocks.past[0].size
    waiting = [f for f in futures if blocks.ahead[f.slot] >= 0]
    while waiting:
        # All at once, but for frames whose future reference is itself still to be filled.
        unfilled = {f.slot for f in waiting}
        ready = [f for f in waiting if f.target not in unfilled]
        waiting = [f for f in waiting if f.target in unfilled]
        slot, target, apart = np.array([(f.slot, f.target, f.frames) for f in ready], np.int32).T
        ahead = blocks.ahead[slot]
        missing = (blocks.past[slot] == 0) & (blocks.future[ahead] > 0)
        n, cell = np.divmod(np.flatnonzero(missing), size)
        theirs = past.take(target[n] * size + cell)
        left = distance.take(theirs) - apart[n]
        known = np.flatnonzero(left > 0)
        n, cell, theirs, left = (of.take(known) for of in (n, cell, theirs, left))
        own = future.take(ahead[n] * size + cell)
        past[slot[n] * size + cell] = np.arange(len(motion), len(motion) + len(known))
        motion = np.concatenate([motion, motion.take(theirs, axis=0) - motion.take(own, axis=0)])
        distance = np.concatenate([distance, left])
    return motion, distance
