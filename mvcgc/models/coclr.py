"""S3D weights of CoCLR's checkpoints (github.com/TengdaHan/CoCLR, ``model/pretrain.py`` and
``backbone/s3dg.py``) under our names.

Its networks are a sequence of backbone, pooling and a head of two convolutions. Each unit of the backbone
has a name, and belongs to a numbered block besides, so that a checkpoint holds every tensor of it twice.
"""

from collections.abc import Iterator, Mapping

from torch import Tensor

from mvcgc.errors import UserError
from mvcgc.models.backbone import build_backbone
from mvcgc.models.pretrained import require_tensors
from mvcgc.models.s3d import S3D

QUERY = "encoder_q."
"""What the query encoder's names begin with; the others are the key encoder, the other view's, the queues."""

RGB_CHANNELS = 3

_CONV = ("weight",)
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

# (name, place in its numbered block, place in our layers); a unit of ours is convolution, norm and ReLU.
_SEPARABLE, _POINT, _MIXED = "separable", "point", "mixed"
_UNITS = (
    ("Conv_1a", "block1.0", 0, _SEPARABLE),
    ("Conv_2b", "block2.1", 7, _POINT),
    ("Conv_2c", "block2.2", 10, _SEPARABLE),
    ("Mixed_3b", "block3.1", 17, _MIXED),
    ("Mixed_3c", "block3.2", 18, _MIXED),
    ("Mixed_4b", "block4.1", 20, _MIXED),
    ("Mixed_4c", "block4.2", 21, _MIXED),
    ("Mixed_4d", "block4.3", 22, _MIXED),
    ("Mixed_4e", "block4.4", 23, _MIXED),
    ("Mixed_4f", "block4.5", 24, _MIXED),
    ("Mixed_5b", "block5.1", 26, _MIXED),
    ("Mixed_5c", "block5.2", 27, _MIXED),
)


def s3d_names() -> Iterator[tuple[str, str, str]]:
    """(a tensor's name in CoCLR's backbone, its other name there, its name in ours)."""
    for name, alias, place, kind in _UNITS:
        for theirs, ours in _mixed(place) if kind == _MIXED else _unit("", "layers.", place, kind):
            yield f"{name}.{theirs}", f"{alias}.{theirs}", ours


def from_coclr(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The state dict of our S3D backbone for RGB, from the query encoder of a CoCLR checkpoint's state dict.

    The head, the other encoders and the queues are left out. Raises UserError naming ``source`` and every
    tensor that the backbone lacks, that it has besides or that has another shape: S3D-G's gates, a flow
    network's first layer, another backbone.
    """
    network = f"{QUERY}0."
    found = {name: value for name, value in state.items() if name.startswith(network)}
    if not found:
        raise UserError(
            f"{source} holds no tensor named {network}...: it is no checkpoint of CoCLR's pre-training"
        )
    ours = build_backbone(S3D.Config(), RGB_CHANNELS).state_dict()
    names = list(s3d_names())
    aliases = {network + alias for _, alias, _ in names}
    wanted = {network + theirs: ours[own] for theirs, _, own in names}
    once = {name: value for name, value in found.items() if name not in aliases}
    require_tensors(wanted, once, source)
    return {own: once[network + theirs] for theirs, _, own in names}


def _mixed(place: int) -> Iterator[tuple[str, str]]:
    """An Inception block: four branches, of which two go on to a separable convolution."""
    ours = f"layers.{place}."
    yield from _unit("branch0.0.", f"{ours}point.", 0, _POINT)
    for branch, own in (("branch1", "conv_a"), ("branch2", "conv_b")):
        yield from _unit(f"{branch}.0.", f"{ours}{own}.", 0, _POINT)
        yield from _unit(f"{branch}.1.", f"{ours}{own}.", 3, _SEPARABLE)
    yield from _unit("branch3.1.", f"{ours}pooled.", 1, _POINT)


def _unit(theirs: str, ours: str, place: int, kind: str) -> Iterator[tuple[str, str]]:
    """Convolution and norm, twice for a separable convolution: ours are numbered in a sequence."""
    for number, suffix in enumerate(("1", "2") if kind == _SEPARABLE else ("",)):
        conv = place + 3 * number
        yield from ((f"{theirs}conv{suffix}.{leaf}", f"{ours}{conv}.{leaf}") for leaf in _CONV)
        yield from ((f"{theirs}bn{suffix}.{leaf}", f"{ours}{conv + 1}.{leaf}") for leaf in _NORM)
