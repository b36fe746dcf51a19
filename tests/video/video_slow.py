"""A slow reader of motion vectors, from the documented rules, with plain loops and none of mvcgc's code.

It decodes from the start, keeps every frame, and goes through the vectors one by one.
"""

from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags2


@dataclass
class Frame:
    kind: str
    keyframe: bool
    luma: np.ndarray
    vectors: list
    order: int = 0
    reference: bool = False
    past: dict = field(default_factory=dict)
    """(row, column) -> (dx, dy, frames of distance), over the whole distance."""
    future: dict = field(default_factory=dict)


def slow_motion(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """mv float64 [count, h, w, 2] and valid bool [count, h, w] of the first frames (.mp4 if it is H.264)."""
    frames, codec = _decode(path, count + 12)
    height, width = frames[0].luma.shape
    h, w = -(-height // 8), -(-width // 8)
    for t, frame in enumerate(frames):
        candidates = _references(frames, t, codec)
        for source, bw, bh, x, y, mx, my in frame.vectors:
            cells = [
                (row, column)
                for row in range((y - bh // 2) // 8, (y + bh // 2) // 8)
                for column in range((x - bw // 2) // 8, (x + bw // 2) // 8)
                if row < h and column < w
            ]
            if source > 0:
                frame.future.update(dict.fromkeys(cells, (mx, my)))
            elif candidates:
                distance = t - _predicted_from(frames, t, candidates, (bw, bh, x, y, mx, my))
                frame.past.update(dict.fromkeys(cells, (-mx, -my, distance)))
    mv, valid = np.zeros((count, h, w, 2)), np.zeros((count, h, w), bool)
    for t in range(count):
        for cell, (dx, dy) in _motion(frames, t, codec).items():
            mv[t][cell], valid[t][cell] = (dx, dy), True
    return mv, valid


def _decode(path: Path, count: int) -> tuple[list[Frame], str]:
    frames: list[Frame] = []
    packets = {}
    with av.open(path, metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.flags2 |= Flags2.export_mvs
        codec = stream.codec_context.codec.canonical_name
        for order, packet in enumerate(container.demux(stream)):
            if codec == "h264" and packet.size:
                packets[packet.pts] = order, _nal_ref_idc(bytes(packet)) > 0
            for picture in packet.decode():
                exported = picture.side_data.get("MOTION_VECTORS")
                vectors = [_plain(vector) for vector in exported or ()]
                kind = "?IPBSsSb"[picture.pict_type]
                frame = Frame(kind, picture.key_frame, picture.to_ndarray()[: picture.height], vectors)
                frame.order, frame.reference = packets.get(picture.pts, (0, kind != "B"))
                frames.append(frame)
                if len(frames) == count:
                    return frames, codec
    return frames, codec


def _plain(vector) -> tuple:
    """(source, w, h, x, y, dx, dy): where the block lies, and reference minus current in pixels."""
    scale = vector.motion_scale
    place = vector.source, vector.w, vector.h, vector.dst_x, vector.dst_y
    return *place, vector.motion_x / scale, vector.motion_y / scale


def _nal_ref_idc(packet: bytes) -> int:
    position = 0
    while position < len(packet):
        header = packet[position + 4]
        if header & 31 in (1, 5):
            return header >> 5
        position += 4 + int.from_bytes(packet[position : position + 4], "big")
    raise AssertionError("a packet without a slice")


def _references(frames: list[Frame], t: int, codec: str) -> list[int]:
    """The frames before t that it may refer to, nearest first."""
    earlier = []
    for i in range(t - 1, -1, -1):
        if frames[t].keyframe:
            break
        if frames[i].reference:
            earlier.append(i)
        if frames[i].keyframe:
            break
    if codec != "h264":
        return earlier[:1]
    return [i for i in earlier[:4] if frames[i].order < frames[t].order]


def _predicted_from(frames: list[Frame], t: int, candidates: list[int], block: tuple) -> int:
    """The nearest candidate, unless the block matches another much better."""
    bw, bh, x, y, mx, my = block
    if len(candidates) == 1 or max(abs(mx), abs(my)) < 1:
        return candidates[0]
    height, width = frames[t].luma.shape
    py = y - bh // 2 + np.array([1, 1, 3, 3, 5, 5, 7, 7]) * bh // 8
    px = x - bw // 2 + np.array([1, 5, 3, 7, 1, 5, 3, 7]) * bw // 8
    qy, qx = np.clip(py + int(np.rint(my)), 0, height - 1), np.clip(px + int(np.rint(mx)), 0, width - 1)
    here = frames[t].luma[np.clip(py, 0, height - 1), np.clip(px, 0, width - 1)].astype(int)
    differences = [np.abs(here - frames[i].luma[qy, qx]).mean() for i in candidates]
    if differences[0] < 4:
        return candidates[0]
    best, least = candidates[0], np.float32(differences[0]) * np.float32(0.7) - 1
    for i, difference in zip(candidates[1:], differences[1:], strict=True):
        if difference < least:
            best, least = i, difference
    return best


def _motion(frames: list[Frame], t: int, codec: str) -> dict:
    if codec == "mpeg4" and frames[t].kind == "B":
        anchor = next((i for i in range(t + 1, len(frames)) if frames[i].kind != "B"), None)
        past = frames[anchor].past if anchor is not None else {}
    else:
        past = _spans(frames, t, codec)
    return {cell: (dx / n, dy / n) for cell, (dx, dy, n) in past.items()}


def _spans(frames: list[Frame], t: int, codec: str) -> dict:
    """Cell -> (dx, dy, frames of distance), with what the future references add."""
    frame, after = frames[t], range(t + 1, len(frames))
    found = dict(frame.past)
    if frame.kind != "B":
        return found
    if codec == "h264":
        targets = [i for i in after if frames[i].reference and frames[i].order < frame.order]
    else:
        targets = [i for i in after if frames[i].kind != "B"]
    if not targets:
        return found
    ahead, theirs = targets[0] - t, _spans(frames, targets[0], codec)
    for cell, (fx, fy) in frame.future.items():
        if cell not in found and cell in theirs and theirs[cell][2] > ahead:
            dx, dy, n = theirs[cell]
            found[cell] = dx - fx, dy - fy, n - ahead
    return found
