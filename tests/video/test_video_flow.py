"""Optical flow: sign, size, and the error without OpenCV."""

import sys

import numpy as np
import pytest
from video_made import moving

from mvcgc.video import FlowMethod, flow


@pytest.mark.parametrize("method", list(FlowMethod))
def test_flow_is_the_contents_motion(method: FlowMethod) -> None:
    pytest.importorskip("cv2")
    clip = np.stack([picture[..., 1] for picture in moving(3, 2, -1, 64, 80)])
    field = flow(clip, method)
    assert field.shape == (3, 64, 80, 2)
    assert field.dtype == np.float32
    for t in range(3):
        assert np.abs(np.median(field[t, 8:-8, 8:-8], (0, 1)) - (2, -1)).max() < 0.25
    assert np.array_equal(field[0], field[1])
    assert np.array_equal(field, flow(clip, method))


def test_flow_needs_two_frames() -> None:
    with pytest.raises(ValueError, match="two frames"):
        flow(np.zeros((1, 16, 16), np.uint8), FlowMethod.DIS)


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'mvcgc\[flow\]'"):
        flow(np.zeros((2, 16, 16), np.uint8), FlowMethod.TVL1)
