"""Random pictures: backgrounds and objects that differ from video to video in everything but brightness."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

SPRITE = 48
"""Side of an object's picture in texels."""
SPRITE_RADIUS = SPRITE / 2 - 2
"""Texels from its centre to its farthest point; what lies beyond is transparent."""


def noise(
    rng: np.random.Generator, side: int, channels: int, layers: Sequence[tuple[int, float]]
) -> Float32[np.ndarray, "side side channels"]:
    """Sum of smooth random layers (grain in pixels, amplitude) about 0, bilinear between random values."""
    total = np.zeros((side, side, channels), np.float32)
    for grain, amplitude in layers:
        knots = rng.uniform(-amplitude, amplitude, (side // grain + 2, side // grain + 2, channels))
        knots = knots.astype(np.float32)
        place = np.arange(side, dtype=np.float32) / grain
        index = place.astype(np.int64)
        part = (place - index)[:, None, None]
        rows = knots[index] * (1 - part) + knots[index + 1] * part
        part = part.reshape(1, -1, 1)
        total += rows[:, index] * (1 - part) + rows[:, index + 1] * part
    return total


def background(rng: np.random.Generator, side: int) -> Float32[np.ndarray, "side side 3"]:
    """A dark, blotchy picture with enough grain for an encoder to follow; values 0 to 255."""
    base = rng.uniform(30, 100, 3).astype(np.float32)
    colour = noise(rng, side, 3, [(30, 14.0), (10, 11.0)])
    grain = noise(rng, side, 1, [(3, 14.0), (7, 14.0)])
    picture: np.ndarray = np.clip(base + colour + grain, 0, 255)
    return picture


def sprite(rng: np.random.Generator, dark: float, bright: float) -> Float32[np.ndarray, "SPRITE SPRITE 4"]:
    """An object: a lobed shape with stripes, checks or rings; red, green, blue, opacity from 0 to 255.

    Its brightest channel is ``bright``, the others at least ``dark``; the pattern darkens them.
    """
    axis = (np.arange(SPRITE) - (SPRITE - 1) / 2) / SPRITE_RADIUS
    x, y = np.meshgrid(axis, axis)
    radius, bearing = np.hypot(x, y), np.arctan2(y, x)
    depth = rng.uniform(0.15, 0.4)
    edge = (1 + depth * np.cos(rng.integers(2, 6) * bearing)) / (1 + depth)
    opacity = np.clip((edge - radius) * SPRITE_RADIUS / 1.5 + 0.5, 0, 1)
    light = rng.uniform(dark, bright, 3)
    light *= bright / light.max()
    shade = light * rng.uniform(0.55, 0.75)
    pattern = _pattern(rng, x, y)[..., None]
    colours = light * (1 - pattern) + shade * pattern + noise(rng, SPRITE, 1, [(5, 18.0)])
    picture = np.concatenate([colours, 255 * opacity[..., None]], axis=2)
    return picture.astype(np.float32)


def _pattern(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values from 0 to 1: stripes, checks, or rings of which one half is offset."""
    turn, start, pitch = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi), rng.uniform(6, 12)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    kind = rng.integers(3)
    if kind == 0:
        wave = np.sin(pitch * along + start)
    elif kind == 1:
        wave = np.sin(pitch * along + start) * np.sin(pitch * across)
    else:
        wave = np.sin(1.3 * pitch * np.hypot(x, y) + start) + 0.6 * np.sign(along)
    result: np.ndarray = np.clip(wave, -0.5, 0.5) + 0.5
    return result
