"""Pre-trained weights out and in: ``mvcgc export`` and ``mvcgc import``."""

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mvcgc.data.clips.modalities import RGB, Rgb
from mvcgc.data.clips.modality import built
from mvcgc.data.clips.sampling import MotionConfig
from mvcgc.data.inputs import MEAN, STD
from mvcgc.errors import UserError
from mvcgc.files import sha256_of
from mvcgc.models.coclr import from_coclr
from mvcgc.models.pretrained import EncoderCard, RgbInput, refuse_existing, save_encoder
from mvcgc.models.s3d import S3D
from mvcgc.runs.folder import StageDamaged, StageFolder
from mvcgc.stages.given import input_of
from mvcgc.stages.pretrain.kind import Cross, Init
from mvcgc.stages.pretrain.run import encoder_file
from mvcgc.stages.pretrain.spec import PretrainSpec
from mvcgc.stages.spec import StageConfig, read_spec


def export_encoder(stage: StageFolder, path: Path, view: str | None) -> EncoderCard:
    """Write the query encoder's backbone of a finished init or cross stage to ``path``; its card.

    ``view`` may be None where the stage has but one. Raises UserError for other stages, unfinished or
    damaged ones, a view that the stage has not, and a ``path`` that exists.
    """
    refuse_existing(path)
    config = StageConfig.read(stage)
    if config.kind not in (Init.label, Cross.label):
        raise UserError(f"{stage.path.name} trains no encoder: export an init or a cross stage")
    spec = read_spec(config, PretrainSpec, stage)
    view = _chosen(view, spec.views, stage)
    try:
        stage.verify_done()
    except StageDamaged as damage:
        raise UserError(f"{damage}: run it (again) before it is exported") from damage
    modality = built(spec.modalities, [view])[view]
    size = modality.size(spec.clip, spec.motion or MotionConfig())
    state = torch.load(stage.path / encoder_file(view), map_location="cpu", weights_only=True)
    prefix = "backbone."
    card = EncoderCard(
        view=view,
        backbone=spec.backbone,
        in_channels=modality.channels,
        frames=spec.clip.frames,
        size=size,
        cell=spec.motion.cell if modality.vectors and spec.motion else None,
        input=input_of(modality, view),
        method=spec.method.part.label,
        dataset=spec.dataset.name,
        stage=config.name,
        fingerprint=config.fingerprint,
        commit=_commit(stage),
    )
    backbone = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
    save_encoder(path, card, backbone)
    return card


def import_coclr(checkpoint: Path, path: Path) -> EncoderCard:
    """Write the RGB S3D of a CoCLR checkpoint to ``path``; its card. Nothing in the checkpoint is executed.

    Raises UserError if it cannot be read or holds other tensors, and if ``path`` exists.
    """
    refuse_existing(path)
    backbone = from_coclr(_state_of(checkpoint), str(checkpoint))
    card = EncoderCard(
        view=RGB,
        backbone=S3D.Config(),
        in_channels=Rgb.channels,
        frames=None,
        size=None,
        cell=None,
        input=RgbInput(MEAN, STD),
        method="coclr",
        dataset=None,
        source=f"{checkpoint.name}, sha256 {sha256_of(checkpoint)}",
    )
    save_encoder(path, card, backbone)
    return card


def _chosen(view: str | None, views: list[str], stage: StageFolder) -> str:
    if view is None and len(views) == 1:
        return views[0]
    if view not in views:
        given = "no --view" if view is None else f"--view {view}"
        raise UserError(f"{given}: {stage.path.name} has {' and '.join(views)}, give one of them")
    return view


def _commit(stage: StageFolder) -> str | None:
    """The commit that the stage's last attempt ran, and whether the code was changed beyond it."""
    try:
        code: dict[str, Any] = json.loads(stage.provenance.read_text())["attempts"][-1]["code"]
    except (OSError, ValueError, LookupError):
        return None
    commit = code.get("commit")
    return f"{commit} with changes" if commit and code.get("diff") else commit


def _state_of(checkpoint: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{checkpoint} cannot be read as a checkpoint of tensors: {reason}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(
            f"{checkpoint} is no checkpoint of CoCLR's pre-training: it has no state_dict of tensors"
        )
    return state
