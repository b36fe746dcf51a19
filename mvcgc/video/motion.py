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

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from mvcgc.video.references import Place, may_refer
from mvcgc.video.vectors import Fields, Grid, Raw


@dataclass(frozen=True)
class Record:
    """What is kept of a decoded frame for its motion.

    Attributes:
        place: where the frame stands among the references.
        raw: its vectors with their distances; None for a frame that borrows the next anchor's.
    """

    place: Place
    raw: Raw | None


def borrows(codec: str, place: Place) -> bool:
    """Whether a frame's exported vectors are void (all zero), so that it takes the next anchor's."""
    return codec == "mpeg4" and not place.anchor


def assemble(
    grid: Grid, frames: range, records: Mapping[int, Record]
) -> tuple[Float32[np.ndarray, "T h w 2"], Bool[np.ndarray, "T h w"]]:
    """Motion of consecutive ``frames`` in pixels per frame; with ``records`` up to the anchor after the last.

    Returns:
        mv float32 [T, h, w, 2] and valid bool [T, h, w].
    """
    # In decode order, so that a B-frame's future reference, if it is a B-frame itself, is filled before.
    kept = sorted((r for r in records.values() if r.raw is not None), key=lambda r: r.place.order)
    fields = grid.raster([r.raw for r in kept if r.raw is not None])
    slots = {record.place.index: slot for slot, record in enumerate(kept)}
    for slot, record in enumerate(kept):
        target = _future(record, records)
        if target is not None:
            ahead = target.place.index - record.place.index
            _fill_from_future(fields, slot, slots[target.place.index], ahead)
    mv = np.zeros((len(frames), *grid.shape, 2), np.float32)
    valid = np.zeros((len(frames), *grid.shape), np.bool_)
    for t, index in enumerate(frames):
        source = records[index] if index in slots else _next_anchor(index, records)
        if source is not None:
            distance = fields.distance[slots[source.place.index]]
            valid[t] = distance > 0
            np.divide(fields.past[slots[source.place.index]], np.maximum(distance, 1)[..., None], out=mv[t])
    return mv, valid


def _next_anchor(index: int, records: Mapping[int, Record]) -> Record | None:
    after = (r for r in records.values() if r.place.index > index and r.place.anchor)
    return min(after, key=lambda r: r.place.index, default=None)


def _future(record: Record, records: Mapping[int, Record]) -> Record | None:
    """The nearest frame after a B-frame that it may refer to."""
    if record.place.anchor:
        return None
    after = (
        r for r in records.values() if r.place.index > record.place.index and may_refer(record.place, r.place)
    )
    return min(after, key=lambda r: r.place.index, default=None)


def _fill_from_future(fields: Fields, slot: int, target: int, ahead: int) -> None:
    """Fill, in place, the cells whose only reference lies ``ahead`` frames in the future: M - F."""
    distance = fields.distance[target] - ahead
    missing = fields.future_valid[slot] & (distance > 0) & (fields.distance[slot] == 0)
    fields.past[slot][missing] = (fields.past[target] - fields.future[slot])[missing]
    fields.distance[slot][missing] = distance[missing]
