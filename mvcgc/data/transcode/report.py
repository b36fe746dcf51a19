"""Report of a transcoded folder."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from mvcgc.data.transcode.write import CHUNK, Written


def report(found: Sequence[Written], target: Path) -> str:
    """Return lines on sizes, decode times, vectors and skipped videos."""
    good, bad = [each for each in found if not each.refused], [each for each in found if each.refused]
    lines = [f"{target}: {len(good)} of {len(found)} videos transcoded"]
    if good:
        before, after = (sum(each) / 1e6 for each in ([f.size for f in good], [f.bytes for f in good]))
        lines.append(f"  size: {before:.1f} MB -> {after:.1f} MB")
        old, new = (median(each.decode_ms[i] for each in good) for i in (0, 1))
        ratio = median(each.decode_ms[0] / each.decode_ms[1] for each in good)
        lines.append(
            f"  clip of {CHUNK} frames: {old:.1f} -> {new:.1f} ms of CPU time, {ratio:.1f}x as fast (medians)"
        )
    both = [each for each in good if math.isfinite(each.difference)]
    if both:
        speed = [median(each.speed[i] for each in both) for i in (0, 1)]
        known = [median(100 * each.known[i] for each in both) for i in (0, 1)]
        difference = median(each.difference for each in both)
        lines.append(f"  cells with a vector: {known[0]:.0f} % -> {known[1]:.0f} %")
        lines.append(
            f"  mean vector length: {speed[0]:.2f} -> {speed[1]:.2f} source pixels/frame, "
            f"mean difference {difference:.2f} (medians over videos)"
        )
    if renamed := sum(each.path != each.becomes for each in good):
        lines.append(f"  renamed to .mp4: {renamed}; lists that name them with their old suffix need an edit")
    lines += [f"  skipped: {each.path}: {each.refused}" for each in bad]
    return "\n".join(lines) + "\n"
