"""Scaling a network's width."""

STEP = 4
"""Channel counts are multiples of this, so that narrow networks keep all their branches."""


def scaled(channels: int, width: float) -> int:
    """``channels`` times ``width``, rounded to a multiple of STEP (never less); unchanged at width 1."""
    if width == 1.0:
        return channels
    return max(STEP, round(channels * width / STEP) * STEP)
