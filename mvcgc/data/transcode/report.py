"""The report of a folder that was written again."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from mvcgc.data.transcode.write import CHUNK, Written


def report(found: Sequence[Written], target: Path) -> str:
    """Return, in lines, what was written, what it does to size, speed and vectors, and what was refused."""
    good, bad = [each for each in found if not each.refused], [each for each in found if each.refused]
    lines = [f"{target}: {len(good)} of {len(found)} videos written"]
    if good:
        before, after = (sum(each) / 1e6 for each in ([f.size for f in good], [f.bytes for f in good]))
        lines.append(f"  size: {before:.1f} MB, now {after:.1f} MB")
        old, new = (median(each.decode_ms[i] for each in good) for i in (0, 1))
        ratio = median(each.decode_ms[0] / each.decode_ms[1] for each in good)
        lines.append(
            f"  a clip of {CHUNK} frames: {old:.1f} ms, now {new:.1f} ms, {ratio:.1f} times as fast (medians)"
        )
    both = [each for each in good if math.isfinite(each.difference)]
    if both:
        speed = [median(each.speed[i] for each in both) for i in (0, 1)]
        known = [median(100 * each.known[i] for each in both) for i in (0, 1)]
        difference = median(each.difference for each in both)
        lines.append(f"  motion is known in {known[0]:.0f} % of the cells, now in {known[1]:.0f} %")
        lines.append(
            f"  vectors: {speed[0]:.2f} pixels a frame, now {speed[1]:.2f}, "
            f"{difference:.2f} apart (medians of means)"
        )
    if renamed := sum(each.path != each.becomes for each in good):
        lines.append(f"  {renamed} have another suffix, .mp4: lists that name them with theirs do not fit")
    lines += [f"  not written: {each.path}: {each.refused}" for each in bad]
    return "\n".join(lines) + "\n"
