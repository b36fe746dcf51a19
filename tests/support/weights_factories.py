"""Encoder files of random weights, as ``mvcgc export`` writes them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mvcgc.data.clips.modalities import built_in
from mvcgc.models import BackboneConfig
from mvcgc.models.pretrained import EncoderCard, PretrainedEncoder, save_encoder
from mvcgc.stages.given import input_of


def make_weights(
    path: Path, view: str, backbone: BackboneConfig, seed: int = 0, **card: Any
) -> dict[str, torch.Tensor]:
    """Write the file; returns its tensors."""
    told = EncoderCard(
        view=view,
        backbone=backbone,
        in_channels=built_in(view)[view].channels,
        frames=None,
        size=None,
        cell=None,
        input=input_of(built_in(view)[view], view),
        method="infonce",
        dataset=None,
    )
    torch.manual_seed(seed)
    told = replace(told, **card)
    state = PretrainedEncoder(told).backbone.state_dict()
    save_encoder(path, told, state)
    return state
