"""Dense optical flow by OpenCV (the optional extra ``flow``): what the motion vectors replace.

DIS is named beside TV-L1 because an honest comparison of cost needs it: a hundredth of TV-L1's time.
"""

from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8


class FlowMethod(Enum):
    """Which optical flow."""

    TVL1 = "tvl1"
    """TV-L1 (Zach et al. 2007), OpenCV's defaults: the flow of the literature's two-stream networks."""
    DIS = "dis"
    """DIS (Kroeger et al. 2016), preset medium."""


def flow(grey: UInt8[np.ndarray, "T H W"], method: FlowMethod) -> Float32[np.ndarray, "T H W 2"]:
    """Optical flow of a clip on its own pixels, from their brightness.

    Returns:
        float32 [T, H, W, 2]: (dx, dy) of the content from the frame before to frame t, in pixels, dx to the
        right, dy down, as for motion vectors; given at the pixels of the frame before, as OpenCV defines it.
        Frame 0 repeats frame 1.

    Raises:
        ModuleNotFoundError: OpenCV is not installed.
        ValueError: fewer than two frames.
    """
    if len(grey) < 2:
        raise ValueError(f"optical flow needs two frames, not {len(grey)}")
    _, estimate = estimator(method)
    fields = [estimate.calc(a, b, None) for a, b in pairwise(grey)]
    return np.stack([fields[0], *fields])


def estimator(method: FlowMethod) -> tuple[Any, Any]:
    """OpenCV and the estimator, single-threaded: one core per loader worker."""
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the view flow needs OpenCV: pip install 'mvcgc[flow]'", name="cv2"
        ) from error
    cv2.setNumThreads(1)
    if method is FlowMethod.TVL1:
        return cv2, cv2.optflow.createOptFlow_DualTVL1()
    return cv2, cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
