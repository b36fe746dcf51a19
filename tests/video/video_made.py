"""Made videos with known motion, and plain ways to look into them: shared by the tests of `mvcgc.video`."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags2
from av.video.reformatter import ColorRange

from mvcgc.video import encode
from mvcgc.video.headers import VOP_START, is_b_vop
from mvcgc.video.picture import EXACT

HEIGHT, WIDTH = 144, 176


@cache
def texture(side: int = 512) -> np.ndarray:
    """A wrapping colour texture with detail at several scales, uint8 [side, side, 3]."""
    rng = np.random.default_rng(7)
    total = np.zeros((side, side, 3))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    for scale in (1.5, 4, 10):
        for channel in range(3):
            noise = np.fft.rfft2(rng.normal(size=(side, side)))
            total[..., channel] += scale**2 * np.fft.irfft2(
                noise * np.exp(-2 * (np.pi * scale * frequency) ** 2)
            )
    low, high = total.min(), total.max()
    return ((total - low) / (high - low) * 255).astype(np.uint8)


def moving(frames: int, dx: int, dy: int, height: int = HEIGHT, width: int = WIDTH) -> Iterator[np.ndarray]:
    """Pictures whose content moves by (dx, dy) pixels from each to the next; dx to the right, dy down."""
    for t in range(frames):
        yield np.roll(texture(), (dy * t, dx * t), (0, 1))[100 : 100 + height, 60 : 60 + width]


def make(
    path: Path, dx: int, dy: int, frames: int = 26, size: tuple[int, int] = (HEIGHT, WIDTH), **how
) -> Path:
    """Write a video of the moving texture with `encode`'s other arguments."""
    encode(path, moving(frames, dx, dy, *size), **{"gop": 12, **how})
    return path


def make_packed(path: Path, plain: Path, gop: int) -> Path:
    """An .avi as DivX and Xvid write it: a B-frame lies in the packet of the frame shown after it, and in its
    own place is a frame that is not coded.
    """
    make(plain, 3, -2, frames=33, size=(64, 80), codec="mpeg4", gop=gop, bframes=1)
    with av.open(plain) as source, av.open(path, "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        stored = []
        for packet, after in zip(packets, [*packets[1:], b""], strict=True):
            own, behind = bytes(packet), bytes(after)
            if packet.is_keyframe:
                own = own.replace(VOP_START, PACKED + VOP_START, 1)
            stored.append(NOT_CODED if is_b_vop(own) else own + (behind if is_b_vop(behind) else b""))
        for number, (packet, data) in enumerate(zip(packets, stored, strict=True)):
            new = av.Packet(data)
            new.stream, new.is_keyframe, new.time_base = copy, packet.is_keyframe, packet.time_base
            new.pts = new.dts = number
            target.mux(new)
    return path


NOT_CODED = bytes.fromhex("000001b6570c7f")
PACKED = b"\0\0\1\xb2DivX503b1393p"
"""User data by which decoders know that B-frames are packed."""


def linear(path: Path, size: tuple[int, int] | None = None, export: bool = False) -> list[av.VideoFrame]:
    """Every frame by the plainest decode up to the first error; 4:4:4 if a size (H, W) is given."""
    found = []
    with av.open(path, metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        if export:
            stream.codec_context.flags2 |= Flags2.export_mvs
        try:
            for frame in container.decode(stream):
                height, width = size or (frame.height, frame.width)
                shown = frame if size is None else to_444(frame, height, width)
                found.append(shown)
        except av.error.InvalidDataError:
            pass
    return found


def to_444(frame: av.VideoFrame, height: int, width: int) -> av.VideoFrame:
    """Scaled and with full chroma, by libswscale as its own documentation has it."""
    matrix = "itu709" if frame.colorspace == 1 else "itu601"
    return frame.reformat(
        width, height, "yuv444p", dst_colorspace=matrix, dst_color_range=ColorRange.MPEG, interpolation=EXACT
    )


def planes_of(frame: av.VideoFrame) -> np.ndarray:
    """Uint8 [3, H, W] of a 4:4:4 picture; PyAV's own way refuses odd sides."""
    rows = [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
    return np.stack([row[:, : frame.width] for row in rows])


def linear_planes(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Planes uint8 [3, T, H, W] of the plain decode."""
    return np.stack([planes_of(frame) for frame in linear(path, size)], axis=1)


def types(path: Path) -> str:
    """Picture types in display order, such as IBBPBBP."""
    return "".join("?IPBSsSb"[frame.pict_type] for frame in linear(path))


def remux(
    source: Path, path: Path, change: Callable[[int, av.Packet], bytes | None], kind: str | None = None
) -> Path:
    """Copy the packets without decoding: ``change`` may change a numbered packet's timestamps, and gives its
    data, or None to leave it out.
    """
    with av.open(source) as whole, av.open(path, "w", format=kind) as target:
        copy = target.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(p for p in whole.demux(video=0) if p.size):
            data = change(number, packet)
            if data is not None:
                new = av.Packet(data)
                new.stream, new.is_keyframe, new.time_base = copy, packet.is_keyframe, packet.time_base
                new.pts, new.dts = packet.pts, packet.dts
                target.mux(new)
    return path


def shifted(seconds: float, start: int = 0) -> Callable[[int, av.Packet], bytes | None]:
    """For `remux`: without the first packets, and shown later (earlier, if negative)."""

    def change(number: int, packet: av.Packet) -> bytes | None:
        by = round(seconds / packet.time_base)
        packet.pts, packet.dts = packet.pts + by, packet.dts + by
        return bytes(packet) if number >= start else None

    return change


def without_limits(file: bytes) -> bytes:
    """An .mp4 by x264 whose sequence parameter set no longer tells how far frames are out of order.

    Its last field, ``bitstream_restriction_flag`` and what follows (E.2.1), becomes a 0 and the end; what is
    left of the room are zeros, which decoders skip.
    """
    start = file.index(b"avcC") + 4 + 8  # of the set, after the header and its length
    size = int.from_bytes(file[start - 2 : start], "big")
    bits = "".join(f"{byte:08b}" for byte in file[start : start + size]).rstrip("0")[:-1]
    at = bits.rindex("1111")  # the flag, vectors beyond the picture, two times ue(0)
    bits = (bits[:at] + "01").ljust(8 * size, "0")
    patched = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return file[:start] + patched + file[start + size :]
