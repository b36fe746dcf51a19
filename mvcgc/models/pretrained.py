"""Encoder files: a backbone's weights as safetensors, with all that it takes to use them in the header.

Such a file stands alone: `load_encoder` needs neither the stage that made it nor its dataset.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import cattrs
import safetensors
import safetensors.torch
from cattrs import transform_error
from cattrs.errors import ClassValidationError
from cattrs.v import format_exception
from jaxtyping import Float
from torch import Tensor, nn

from mvcgc.errors import UserError
from mvcgc.files import write_atomic
from mvcgc.models.backbone import BackboneConfig, build_backbone
from mvcgc.models.encoder import pool_map
from mvcgc.models.layers import lay_out
from mvcgc.parts import VERSION, Part, structure_parts, target_of
from mvcgc.runs.fingerprint import plain

HEADER = "mvcgc"
"""The entry of the safetensors metadata that holds the card, as JSON."""
FORMAT = 2
"""Number of the card's form; a reader refuses others."""
_LISTED = 4
"""How many of many names an error lists."""


@dataclass(frozen=True)
class RgbInput:
    """The networks' input is ``(x - mean) / std`` of R, G and B in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B 3 T H W"]:
        """Return what the network sees of a clip of values in [0, 1]."""
        mean, std = (clip.new_tensor(values).view(3, 1, 1, 1) for values in (self.mean, self.std))
        return (clip - mean) / std


@dataclass(frozen=True)
class MotionInput:
    """Vectors as they would be in a picture ``reference_size`` pixels wide, per frame: components are cut off
    at ``limit`` pixels, and ``unit`` pixels become 1.
    """

    reference_size: int
    limit: float
    unit: float

    def __call__(self, clip: Float[Tensor, "B 2 T H W"]) -> Float[Tensor, "B 2 T H W"]:
        """Return what the network sees of a clip of vectors in pixels of that clip per frame."""
        return (clip * (self.reference_size / clip.shape[-1])).clamp(-self.limit, self.limit) / self.unit


@dataclass(frozen=True)
class EncoderCard:
    """What an encoder is and where it comes from.

    view: what it sees (rgb, mv, flow, ...); backbone, in_channels: the network; frames, size: the clips that
    it was trained on, in frames and pixels; cell: pixels of the file's picture per motion vector; input: how
    clips become the network's input; method, dataset: how and on what it was trained; stage, fingerprint:
    which stage made it; commit: the code that ran; source: the file that weights of others came from, and its
    SHA-256. What is not known is None.
    """

    view: str
    backbone: BackboneConfig
    in_channels: int
    frames: int | None
    size: int | None
    cell: int | None
    input: RgbInput | MotionInput
    method: str
    dataset: str | None
    stage: str | None = None
    fingerprint: str | None = None
    commit: str | None = None
    source: str | None = None
    format: int = FORMAT


class PretrainedEncoder(nn.Module):
    """A pre-trained backbone that takes clips as they are; ``card`` says what it is.

    ``dim`` is the number of features D; ``backbone`` gives the feature map [B, D, t, h, w] of `prepare`d
    clips.
    """

    def __init__(self, card: EncoderCard) -> None:
        super().__init__()
        self.card = card
        self.backbone = build_backbone(card.backbone, card.in_channels)
        self.dim = self.backbone.dim

    def prepare(self, clip: Tensor) -> Float[Tensor, "B C T H W"]:
        """The network's input.

        Raises ValueError where the clip is not of floats or not of the view's channels.
        """
        if not clip.is_floating_point() or clip.dim() != 5 or clip.shape[1] != self.card.in_channels:
            wanted = "values in [0, 1]" if self.card.view == "rgb" else "vectors in pixels per frame"
            raise ValueError(
                f"clip of {clip.dtype} and shape {list(clip.shape)}: the view {self.card.view} takes "
                f"floating-point {wanted}, [B, {self.card.in_channels}, T, H, W]"
            )
        return self.card.input(clip)

    def forward(self, clip: Tensor) -> Float[Tensor, "B D"]:
        """Features of clips, averaged over time and space, float32 or wider.

        RGB comes as values in [0, 1], [B, 3, T, H, W]; motion and flow as (dx to the right, dy downwards) in
        pixels of the clip's own H x W picture per frame, from the past towards the present, [B, 2, T, H, W].
        Frames are consecutive. The built-in networks take T of 8, H and W of 32 at least; ``card`` has the
        sizes trained on.

        Raises ValueError for clips of other channels, too small, or not of floats.
        """
        pooled: Tensor = pool_map(self.backbone(self.prepare(clip)))
        return pooled


def load_encoder(path: str | PathLike[str]) -> PretrainedEncoder:
    """Load the encoder of a file that ``mvcgc export`` or ``mvcgc import`` has written.

    Returns:
        The encoder on the CPU, in evaluation mode; `PretrainedEncoder.forward` names its input and output.

    Raises:
        UserError: if the file is missing, damaged, or no encoder file.

    Example:
        >>> encoder = mvcgc.load_encoder("mv.safetensors")
        >>> encoder.card.view
        'mv'
        >>> encoder(torch.zeros(1, 2, 8, 32, 32)).shape == (1, encoder.dim)
        True
    """
    card, tensors = read_encoder_file(path)
    encoder = PretrainedEncoder(card)
    require_tensors(encoder.backbone.state_dict(), tensors, path)
    encoder.backbone.load_state_dict(tensors)
    lay_out(encoder)
    return encoder.eval()


def read_encoder_file(path: str | PathLike[str]) -> tuple[EncoderCard, dict[str, Tensor]]:
    """Return the card of an encoder file and the tensors of its backbone, which may not be the network's.

    Raises:
        UserError: if the file is not there, not whole or not of this kind.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} cannot be read as safetensors: {' '.join(str(error).split())}") from error
    return _card(header, path), tensors


def save_encoder(path: Path, card: EncoderCard, backbone: Mapping[str, Tensor]) -> None:
    """Write a backbone's state dict with its card, atomically. Raises UserError if ``path`` exists."""
    refuse_existing(path)
    require_tensors(PretrainedEncoder(card).backbone.state_dict(), backbone, path)
    tensors = {name: value.contiguous() for name, value in backbone.items()}
    metadata = {"format": "pt", HEADER: json.dumps(plain(card))}
    write_atomic(path, safetensors.torch.save(tensors, metadata))


def refuse_existing(path: Path) -> None:
    """Raise UserError if there is a file at ``path``, or no folder for it."""
    if path.exists():
        raise UserError(f"{path} exists: remove it, or choose another name")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}")


def require_tensors(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], source: str | PathLike[str]
) -> None:
    """Raise UserError naming what of ``wanted`` is missing or has another shape in ``found``, and what is
    there besides.
    """
    shapes = [
        f"{name} {list(found[name].shape)} instead of {list(wanted[name].shape)}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    wrong = {
        "missing": [name for name in wanted if name not in found],
        "unknown": [name for name in found if name not in wanted],
        "of another shape": shapes,
    }
    told = "; ".join(f"{what}: {_some(names)}" for what, names in wrong.items() if names)
    if told:
        raise UserError(f"{source} does not hold the tensors of this network: {told}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _card(header: Mapping[str, str], path: str | PathLike[str]) -> EncoderCard:
    if HEADER not in header:
        raise UserError(f"{path} is no encoder file of mvcgc: its metadata has no entry {HEADER!r}")
    try:
        content = json.loads(header[HEADER])
    except ValueError as error:
        raise UserError(f"{path}: the metadata {HEADER!r} is not JSON: {error}") from error
    number = content.get("format") if isinstance(content, dict) else None
    if number != FORMAT:
        raise UserError(
            f"{path} is an encoder file of format {number}, this mvcgc reads {FORMAT}: "
            "export or import it again"
        )
    try:
        converter = cattrs.Converter(forbid_extra_keys=True)
        structure_parts(converter, _check_version)
        return converter.structure(content, EncoderCard)
    except ClassValidationError as error:
        told = "; ".join(transform_error(error, format_exception=_described))
        raise UserError(f"{path}: the metadata {HEADER!r}: {told}") from error


def _check_version(part: type[Part], recorded: dict[str, Any], key: str) -> None:
    """Refuse another version of the class. Its source may change: names and shapes of tensors are checked."""
    if recorded.get(VERSION) != part.version:
        raise UserError(
            f"{key}: {target_of(part)} has version {part.version}, the weights are for "
            f"version {recorded.get(VERSION)}"
        )


def _described(error: BaseException, kind: Any) -> str:
    """Return what is wrong with one value: our own words where a configuration has refused it."""
    return str(error) if isinstance(error, UserError) else format_exception(error, kind)
