"""What a plot may be told."""

import re
from typing import Any

import pytest

from mvcgc.errors import UserError
from mvcgc.plan import PlotKind, PlotSpec


def test_name_and_steps_by_default() -> None:
    spec = PlotSpec(PlotKind.curves, stage="linear/demo", y=["loss_rgb"])
    assert (spec.name, spec.x) == ("curves", "step")


@pytest.mark.parametrize(
    ("kind", "given", "line"),
    [
        (PlotKind.curves, {"y": ["loss"]}, "curves of kind=curves needs stage"),
        (PlotKind.against, {"x": "method.k"}, "against of kind=against needs y"),
        (PlotKind.against, {"x": "a", "y": ["b"], "stage": "cross"}, "takes no stage, leave it out"),
        (PlotKind.bubbles, {"x": "a", "y": ["b", "c"], "area": "d"}, "y takes one entry"),
        (PlotKind.confusion, {"stage": "linear/demo", "view": "rgb", "rows": ["a", "b"]}, "rows takes one"),
        (PlotKind.curves, {"stage": "cross", "y": ["loss"], "x": "hour"}, "x=hour: use step or epoch"),
        (PlotKind.curves, {"stage": "linear/demo", "y": ["a"], "x": "epoch"}, "steps of linear/demo are no"),
        (PlotKind.curves, {"stage": "cross", "y": ["loss"], "name": "a/b"}, "name=a/b: use letters, digits"),
    ],
)
def test_mistakes(kind: PlotKind, given: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)):
        PlotSpec(kind, **given)
