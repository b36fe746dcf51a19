"""Encoders that no stage trains: weights that the user gives (``init.weights``), and untrained networks.

A specification has their identity by view under ``weights``: the SHA-256 of a file, or the seed that random
weights are drawn from. Where a file lies is no part of it: `Runtime.weights` has the paths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from mvcgc.data.clips.modalities import MOTION_LIMIT, MOTION_UNIT, REFERENCE_SIZE, Motion
from mvcgc.data.clips.modality import Modality, built
from mvcgc.data.inputs import MEAN, STD
from mvcgc.errors import UserError
from mvcgc.files import sha256_of
from mvcgc.models.backbone import Backbone, BackboneConfig, build_backbone
from mvcgc.models.pretrained import EncoderCard, MotionInput, RgbInput, read_encoder_file, require_tensors
from mvcgc.parts import target_of, title
from mvcgc.train import rng

if TYPE_CHECKING:
    from mvcgc.stages.experiment import Experiment

_SEED = "seed "


@dataclass(frozen=True)
class GivenWeights:
    """A file of an encoder's weights, as it was when the run was planned."""

    path: Path
    sha256: str


def input_of(modality: Modality, view: str) -> RgbInput | MotionInput:
    """Return how clips of a modality become what the networks are trained on: see `mvcgc.data.inputs`.

    Raises:
        UserError: for a modality of the user's own, whose input an encoder's file cannot describe.
    """
    if modality.colour:
        return RgbInput(MEAN, STD)
    if isinstance(modality, Motion) and type(modality).to_input is Motion.to_input:
        return MotionInput(REFERENCE_SIZE, MOTION_LIMIT, MOTION_UNIT)
    raise UserError(
        f"view {view}: {target_of(type(modality))} makes its input itself, which an encoder's file cannot "
        "describe; use the stage's encoder file with your own code"
    )


def given_weights(experiment: "Experiment", view: str) -> GivenWeights | None:
    """Return the weights that stand in place of the initialisation of ``view``; None if it is trained.

    Raises:
        UserError: if the file is missing, not an encoder file, or holds another view or network.
    """
    if view not in experiment.given_views:
        return None
    text = experiment.init.weights[view]
    where, path = f"init.weights.{view}={text}", Path(text).expanduser().absolute()
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{where}: {error.strerror}; give a file of `mvcgc export` or `import`") from error
    try:
        card, sha256 = _card(path, status.st_mtime_ns, status.st_size)
    except UserError as error:
        raise UserError(f"init.weights.{view}: {error}") from error
    _check(card, view, experiment, where)
    return GivenWeights(path, sha256)


def starts(experiment: "Experiment", views: Sequence[str]) -> dict[str, str]:
    """Return by view the identity of weights that no stage trains; views that a stage trains are left out.

    Equal answers are one object: planning relies on it.

    Raises:
        UserError: if a view has neither a stage nor a file.
    """
    method, found = experiment.method.part, {}
    for view in views:
        if method.untrained:
            found[view] = f"{_SEED}{experiment.seed}"
        elif given := given_weights(experiment, view):
            found[view] = given.sha256
        elif not experiment.has_init and not experiment.has_cross:
            raise UserError(
                f"method={method.label} trains nothing and no weights of {view} are given: "
                f"set init.weights.{view}=FILE, or downstream.views to other views"
            )
    return _shared(tuple(found.items()))


def start_backbone(
    config: BackboneConfig, view: str, channels: int, start: str, files: Mapping[str, str]
) -> Backbone:
    """Return the backbone that a start of `starts` stands for; ``files`` are paths by view.

    Raises:
        UserError: if the file is not the one that the run was planned with.
    """
    state = rng.capture()
    rng.reseed(int(start.removeprefix(_SEED)) if start.startswith(_SEED) else 0)
    backbone = build_backbone(config, channels)
    rng.restore(state)
    if not start.startswith(_SEED):
        backbone.load_state_dict(given_tensors(view, start, files[view], backbone.state_dict()))
    return backbone


def given_tensors(view: str, sha256: str, path: str, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a backbone's tensors from the file that the run was planned with; ``wanted`` has their shapes.

    Raises:
        UserError: if it has changed since, or holds other tensors.
    """
    where = f"init.weights.{view}={path}"
    if not Path(path).is_file() or sha256_of(Path(path)) != sha256:
        raise UserError(f"{where}: is not the file that the run was planned with: start it again")
    _, tensors = read_encoder_file(path)
    require_tensors(wanted, tensors, where)
    return tensors


@lru_cache
def _card(path: Path, _modified: int, _size: int) -> tuple[EncoderCard, str]:
    """Read a file once for all rows, and again once it has changed."""
    card, _ = read_encoder_file(path)
    return card, sha256_of(path)


def _check(card: EncoderCard, view: str, experiment: "Experiment", where: str) -> None:
    backbone, modality = experiment.backbone, built(experiment.modalities, [view])[view]
    if card.view != view:
        raise UserError(f"{where}: holds an encoder of {card.view}, not of {view}")
    if card.backbone != backbone:
        raise UserError(
            f"{where}: holds a backbone {title(card.backbone)}, the experiment has {title(backbone)}: "
            "set backbone and its keys to that of the file"
        )
    if card.input != input_of(modality, view):
        raise UserError(f"{where}: was trained on input of another scale ({card.input})")


@cache
def _shared(starts: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return dict(starts)
