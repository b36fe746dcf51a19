"""Headers of frames, on streams whose encoder was told what to write."""

from pathlib import Path

import av
import pytest
from video_made import make, types

from mvcgc.video import headers


def opened(path: Path) -> tuple[bytes, list[tuple[int | None, bytes]]]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        packets = [(p.pts, bytes(p)) for p in container.demux(stream) if p.size]
        return stream.codec_context.extradata or b"", packets


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
@pytest.mark.parametrize(
    ("options", "references"),
    [
        ({"x264-params": "ref=1"}, 1),
        ({"x264-params": "ref=3"}, 3),
        ({"x264-params": "ref=2:cqm=jvt"}, 2),
        ({"profile": "baseline", "x264-params": "ref=4"}, 4),
    ],
)
def test_most_references(tmp_path: Path, suffix: str, options: dict[str, str], references: int) -> None:
    path = make(tmp_path / f"made{suffix}", 1, 0, frames=8, codec="h264", options=options)
    extradata, _ = opened(path)
    assert headers.length_size(extradata) == (4 if suffix == ".mp4" else 0)
    assert headers.most_references(extradata) == references


def test_without_a_parameter_set_anything_is_possible() -> None:
    assert headers.most_references(b"") == 16
    assert headers.most_references(b"\0\0\1\x09\xf0") == 16


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
@pytest.mark.parametrize(("pyramid", "kind"), [("none", "all"), ("normal", "some")])
def test_is_reference_tells_the_pyramid(tmp_path: Path, suffix: str, pyramid: str, kind: str) -> None:
    options = {"x264-params": f"b-pyramid={pyramid}:b-adapt=0:scenecut=0"}
    path = make(tmp_path / f"made{suffix}", 1, 0, frames=13, codec="h264", bframes=3, options=options)
    extradata, packets = opened(path)
    length = headers.length_size(extradata)
    shown = sorted((pts, headers.is_reference(memoryview(data), length)) for pts, data in packets)
    told = "".join("r" if reference else "." for _, reference in shown)
    kinds = types(path)
    assert kinds.startswith("IBBBPBBBP")
    assert told.startswith("r...r...r" if pyramid == "none" else "r.r.r.r.r"), (told, kinds)


def test_damaged_packets_do_not_fail() -> None:
    for data in (b"", b"\0", b"\0\0\0\0", b"\0\0\0\x09\x61", bytes(40), b"\xff" * 40):
        for length in (0, 1, 2, 4):
            assert isinstance(headers.is_reference(memoryview(data), length), bool)


def test_b_frames_of_mpeg4() -> None:
    for kind in range(4):
        assert headers.is_b_vop(b"\0\0\1\xb2user\0\0\1\xb6" + bytes([kind << 6])) is (kind == 2)
    for nothing in (b"", b"\0\0\1", b"\0\0\1\xb6", b"\0\0\1\xb3\xff\xff"):
        assert not headers.is_b_vop(nothing)
