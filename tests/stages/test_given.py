"""Encoders that no stage trains, as a stage reads them."""

import re
from pathlib import Path

import pytest
import torch
from stage_factories import INFONCE, spec
from weights_factories import make_weights

from mvcgc.errors import UserError
from mvcgc.files import sha256_of
from mvcgc.models.tiny import R2Plus1D4
from mvcgc.stages.given import given_tensors, start_backbone
from mvcgc.stages.pretrain.run import build_model
from mvcgc.train import rng

NETWORK = R2Plus1D4.Config(width=0.0625)


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mv.safetensors"
    state = make_weights(file, "mv", NETWORK)
    backbone = start_backbone(NETWORK, "mv", 2, sha256_of(file), {"mv": str(file)})
    assert list(backbone.state_dict()) == list(state)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("view", ["rgb", "mv"])
def test_an_untrained_backbone_is_what_an_initialisation_starts_from(view: str) -> None:
    wanted = spec([view], INFONCE)
    rng.reseed(7)
    model = build_model(wanted, {}, {})
    backbone = start_backbone(wanted.backbone, view, {"rgb": 3, "mv": 2}[view], "seed 7", {})
    expected = model.pair(view).query.backbone.state_dict()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, expected[name]), name
    other = start_backbone(wanted.backbone, view, {"rgb": 3, "mv": 2}[view], "seed 8", {}).state_dict()
    assert not torch.equal(other["layers.0.weight"], expected["layers.0.weight"])


def test_no_random_number_is_taken_from_the_stage(tmp_path: Path) -> None:
    file = tmp_path / "rgb.safetensors"
    make_weights(file, "rgb", NETWORK)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    start_backbone(NETWORK, "rgb", 3, sha256_of(file), {"rgb": str(file)})
    start_backbone(NETWORK, "rgb", 3, "seed 5", {})
    assert torch.equal(torch.rand(4), expected)


def test_a_file_that_changed_after_planning_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rgb.safetensors"
    state = make_weights(file, "rgb", NETWORK)
    planned = sha256_of(file)
    file.unlink()
    line = f"init.weights.rgb={file}: is not the file that the run was planned with: start it again"
    for change in (lambda: None, lambda: make_weights(file, "rgb", NETWORK, seed=1)):
        change()
        with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
            given_tensors("rgb", planned, str(file), state)


def test_tensors_of_another_shape_are_refused(tmp_path: Path) -> None:
    """A class may be edited after its weights were written; planning compares its settings alone."""
    file = tmp_path / "rgb.safetensors"
    state = make_weights(file, "rgb", NETWORK)
    with pytest.raises(
        UserError, match=rf"^init\.weights\.rgb={file} does not hold the tensors.*missing: more"
    ):
        given_tensors("rgb", sha256_of(file), str(file), {**state, "more": torch.zeros(1)})
