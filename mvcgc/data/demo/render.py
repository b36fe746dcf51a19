"""One demo video as pictures: a textured background under a moving camera, a bystander, the main object.

All lengths scale with the side of the picture; the numbers here are pixels of one of 96.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from mvcgc.data.demo.motions import Motion, Pose, pose
from mvcgc.data.demo.textures import SPRITE, SPRITE_RADIUS, background, sprite

NOMINAL = 96
RADIUS = (18.0, 24.0)
REACH = (11.0, 16.0)
PERIOD = (11.0, 17.0)
"""Frames."""
UNSTEADY = 0.1
"""Speed and amplitude vary within a video by this share of their mean."""
DRIFT = 0.15
"""Of the main object, pixels per frame at most."""
OFF_CENTRE = 6.0
CAMERA = (0.2, 0.15)
"""Speed across and down, pixels per frame at most."""
CAMERA_TURNS = 16
"""Frames between changes of the camera's speed."""
MARGIN = 64
"""Background beyond the picture, for the camera to move over."""
BYSTANDER_RADIUS = (4.0, 7.0)
BYSTANDER_SPEED = (0.3, 1.0)


@dataclass(frozen=True)
class _Object:
    """A picture that is drawn at ``x``, ``y`` (its centre) in every frame, ``radius`` pixels large."""

    picture: Float32[np.ndarray, "S S 4"]
    radius: float
    pose: Pose


def render(
    seed: np.random.SeedSequence, motion: Motion, frames: int, size: int
) -> UInt8[np.ndarray, "T S S 3"]:
    """The ``frames`` pictures, ``size`` pixels square, of the video that ``seed`` chooses."""
    rng = np.random.default_rng(seed)
    unit = size / NOMINAL
    margin = round(MARGIN * unit)
    scene = background(rng, size + 2 * margin + 1)
    camera_x = _camera(rng, frames, CAMERA[0] * unit, margin)
    camera_y = _camera(rng, frames, CAMERA[1] * unit, margin)
    objects = [_bystander(rng, frames, size), _actor(rng, motion, frames, size)]
    video = np.empty((frames, size, size, 3), np.uint8)
    for t in range(frames):
        picture = _window(scene, float(camera_x[t]), float(camera_y[t]), size)
        for thing in objects:
            _draw(picture, thing, t)
        video[t] = np.clip(picture + 0.5, 0, 255)
    return video


def wander(
    rng: np.random.Generator, frames: int, low: float, high: float, every: int
) -> Float64[np.ndarray, " T"]:
    """A value per frame from ``low`` to ``high``, drawn anew each ``every`` frames and linear in between."""
    knots = frames // every + 3
    values: np.ndarray = np.interp(
        np.arange(frames), (np.arange(knots) - rng.random()) * every, rng.uniform(low, high, knots)
    )
    return values


def _camera(rng: np.random.Generator, frames: int, speed: float, margin: int) -> Float64[np.ndarray, " T"]:
    """Left or upper edge of the picture within the scene."""
    path = np.cumsum(wander(rng, frames, -speed, speed, CAMERA_TURNS))
    edge: np.ndarray = np.clip(margin + path - path.mean(), 0, 2 * margin)
    return edge


def _actor(rng: np.random.Generator, motion: Motion, frames: int, size: int) -> _Object:
    """The object that goes through the motion of the class."""
    unit = size / NOMINAL

    def unsteady(every: int) -> Float64[np.ndarray, " T"]:
        return wander(rng, frames, 1 - UNSTEADY, 1 + UNSTEADY, every)

    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(2 * np.pi / rng.uniform(*PERIOD) * unsteady(12))
    reach = rng.uniform(*REACH) * unit * unsteady(16)
    moved = pose(motion, phase, reach, side=int(rng.choice([-1, 1])))
    base = size / 2 + rng.uniform(-OFF_CENTRE, OFF_CENTRE, 2) * unit
    drift = DRIFT * unit
    x = base[0] + np.cumsum(wander(rng, frames, -drift, drift, 12)) + _displaced(rng, moved.x, reach)
    y = base[1] + np.cumsum(wander(rng, frames, -drift, drift, 12)) + _displaced(rng, moved.y, reach)
    angle = rng.uniform(0, 2 * np.pi) + moved.angle
    picture = sprite(rng, 120.0, 250.0)
    return _Object(picture, rng.uniform(*RADIUS) * unit, Pose(x, y, moved.width, moved.height, angle))


def _displaced(
    rng: np.random.Generator, track: Float64[np.ndarray, " T"], reach: Float64[np.ndarray, " T"]
) -> Float64[np.ndarray, " T"]:
    """``track``; along an axis on which the class does not move, where one that does might be.

    Otherwise a single frame would tell by the object's place what it does.
    """
    rest = reach.mean() * np.sin(rng.uniform(0, 2 * np.pi))
    return track if track.any() else track + rest


def _bystander(rng: np.random.Generator, frames: int, size: int) -> _Object:
    """A smaller, dimmer object that roams the picture and bounces off its edges, whatever the class."""
    unit = size / NOMINAL
    speed = rng.uniform(*BYSTANDER_SPEED) * unit
    course = rng.uniform(0, 2 * np.pi) + wander(rng, frames, -2.0, 2.0, 16)
    x = _fold(rng.uniform(0, size) + np.cumsum(speed * np.cos(course)), size)
    y = _fold(rng.uniform(0, size) + np.cumsum(speed * np.sin(course)), size)
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(wander(rng, frames, -0.05, 0.05, 12))
    one = np.ones(frames)
    picture = sprite(rng, 60.0, 150.0)
    return _Object(picture, rng.uniform(*BYSTANDER_RADIUS) * unit, Pose(x, y, one, one, angle))


def _fold(place: Float64[np.ndarray, " T"], size: int) -> Float64[np.ndarray, " T"]:
    """``place`` reflected at 0 and ``size`` until it lies between them."""
    folded: np.ndarray = size - np.abs(place % (2 * size) - size)
    return folded


def _window(
    scene: Float32[np.ndarray, "M M 3"], x: float, y: float, size: int
) -> Float32[np.ndarray, "S S 3"]:
    """The part of ``scene`` whose upper left corner is (x, y), bilinear."""
    column, row = int(x), int(y)
    across, down = np.float32(x - column), np.float32(y - row)
    part = scene[row : row + size + 1, column : column + size + 1]
    part = part[:-1] + (part[1:] - part[:-1]) * down
    window: np.ndarray = part[:, :-1] + (part[:, 1:] - part[:, :-1]) * across
    return window


def _draw(picture: Float32[np.ndarray, "S S 3"], thing: _Object, t: int) -> None:
    """Blend ``thing`` into ``picture``: turned, then stretched along the picture's axes, bilinear."""
    place = thing.pose
    rows, v = _reach(float(place.y[t]), thing.radius * float(place.height[t]), picture.shape[0])
    columns, u = _reach(float(place.x[t]), thing.radius * float(place.width[t]), picture.shape[1])
    if u.size == 0 or v.size == 0:
        return
    sine, cosine = np.float32(np.sin(place.angle[t])), np.float32(np.cos(place.angle[t]))
    middle, last = (SPRITE - 1) / 2, SPRITE - 1.001
    across = np.clip(cosine * u + sine * v[:, None] + middle, 0, last)
    down = np.clip(cosine * v[:, None] - sine * u + middle, 0, last)
    column, row = across.astype(np.int32), down.astype(np.int32)
    right, low = (across - column)[..., None], (down - row)[..., None]
    texels, index = thing.picture.reshape(-1, 4), row * SPRITE + column
    upper = texels[index] * (1 - right) + texels[index + 1] * right
    lower = texels[index + SPRITE] * (1 - right) + texels[index + SPRITE + 1] * right
    sample = upper * (1 - low) + lower * low
    under = picture[rows, columns]
    under += (sample[..., :3] - under) * (sample[..., 3:] / 255)


def _reach(centre: float, radius: float, side: int) -> tuple[slice, Float32[np.ndarray, " n"]]:
    """Pixels of a line that an object covers, and how far each lies from its centre in texels."""
    edge = 1.05 * radius  # its outline is soft
    first, stop = max(int(centre - edge), 0), min(int(centre + edge) + 2, side)
    pixels = np.arange(first, max(stop, first), dtype=np.float32)
    return slice(first, max(stop, first)), (pixels - np.float32(centre)) * np.float32(SPRITE_RADIUS / radius)
