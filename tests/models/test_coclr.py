"""CoCLR's checkpoints, made here of its names and shapes, against its network written out step by step."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from commands import Ended
from torch import Tensor
from torch.nn import functional

from mvcgc import cli
from mvcgc.commands.weights import import_coclr
from mvcgc.errors import UserError
from mvcgc.models.coclr import from_coclr, s3d_names
from mvcgc.models.pretrained import load_encoder

State = dict[str, Tensor]
# Inputs and the six widths of each SepInception block, as CoCLR's backbone/s3dg.py lists them.
MIXED = {
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}
BLOCKS = {
    "block1": ("Conv_1a",),
    "block2": ("MaxPool_2a", "Conv_2b", "Conv_2c"),
    "block3": ("MaxPool_3a", "Mixed_3b", "Mixed_3c"),
    "block4": ("MaxPool_4a", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"),
    "block5": ("MaxPool_5a", "Mixed_5b", "Mixed_5c"),
}
SHAPES = {  # name of a convolution, its norm's, outputs, inputs, kernel
    "Conv_1a": [("conv1", "bn1", 64, 3, (1, 7, 7)), ("conv2", "bn2", 64, 64, (7, 1, 1))],
    "Conv_2b": [("conv", "bn", 64, 64, (1, 1, 1))],
    "Conv_2c": [("conv1", "bn1", 192, 64, (1, 3, 3)), ("conv2", "bn2", 192, 192, (3, 1, 1))],
}
for _name, (_in, _p, _ra, _a, _rb, _b, _pool) in MIXED.items():
    SHAPES[_name] = [
        ("branch0.0.conv", "branch0.0.bn", _p, _in, (1, 1, 1)),
        ("branch1.0.conv", "branch1.0.bn", _ra, _in, (1, 1, 1)),
        ("branch1.1.conv1", "branch1.1.bn1", _a, _ra, (1, 3, 3)),
        ("branch1.1.conv2", "branch1.1.bn2", _a, _a, (3, 1, 1)),
        ("branch2.0.conv", "branch2.0.bn", _rb, _in, (1, 1, 1)),
        ("branch2.1.conv1", "branch2.1.bn1", _b, _rb, (1, 3, 3)),
        ("branch2.1.conv2", "branch2.1.bn2", _b, _b, (3, 1, 1)),
        ("branch3.1.conv", "branch3.1.bn", _pool, _in, (1, 1, 1)),
    ]


def unit_tensors(generator: torch.Generator) -> Iterator[tuple[str, str, Tensor]]:
    """(unit, name below it, random tensor) of CoCLR's S3D."""
    for unit, convolutions in SHAPES.items():
        for conv, norm, outputs, inputs, kernel in convolutions:
            fan = inputs * kernel[0] * kernel[1] * kernel[2]
            weight = torch.randn(outputs, inputs, *kernel, generator=generator) * (2 / fan) ** 0.5
            yield unit, f"{conv}.weight", weight
            for leaf in ("weight", "bias", "running_mean", "running_var"):
                yield unit, f"{norm}.{leaf}", torch.rand(outputs, generator=generator) + 0.5
            yield unit, f"{norm}.num_batches_tracked", torch.tensor(7)


@pytest.fixture(scope="module")
def whole() -> State:
    """The state dict of CoCLR's pre-training model: every tensor of the backbones under both its names."""
    state: State = {}
    places = {unit: f"{block}.{i}" for block, units in BLOCKS.items() for i, unit in enumerate(units)}
    for seed, encoder in enumerate(("encoder_q", "encoder_k", "sampler")):
        for unit, name, tensor in unit_tensors(torch.Generator().manual_seed(seed)):
            state[f"{encoder}.0.{unit}.{name}"] = state[f"{encoder}.0.{places[unit]}.{name}"] = tensor
        state[f"{encoder}.2.weight"] = torch.zeros(1024, 1024, 1, 1, 1)
        state[f"{encoder}.4.bias"] = torch.zeros(128)
    return {**state, "queue": torch.zeros(128, 16), "queue_ptr": torch.zeros(1, dtype=torch.long)}


def slow_features(state: State, x: Tensor) -> Tensor:
    """CoCLR's S3D as its forward pass reads, on torch's own three-dimensional operations."""

    def unit(x: Tensor, name: str, number: str = "", stride: tuple[int, int, int] = (1, 1, 1)) -> Tensor:
        weight = state[f"{name}.conv{number}.weight"]
        padding = [side // 2 for side in weight.shape[2:]]
        x = functional.conv3d(x, weight, stride=stride, padding=padding)
        norm = [
            state[f"{name}.bn{number}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")
        ]
        return functional.relu(functional.batch_norm(x, *norm))

    def separable(x: Tensor, name: str, stride: int = 1) -> Tensor:
        x = unit(x, name, "1", (1, stride, stride))
        return unit(x, name, "2", (stride, 1, 1))

    def mixed(x: Tensor, name: str) -> Tensor:
        name = f"encoder_q.0.{name}"
        return torch.cat(
            [
                unit(x, f"{name}.branch0.0"),
                separable(unit(x, f"{name}.branch1.0"), f"{name}.branch1.1"),
                separable(unit(x, f"{name}.branch2.0"), f"{name}.branch2.1"),
                unit(functional.max_pool3d(x, 3, 1, 1), f"{name}.branch3.1"),
            ],
            dim=1,
        )

    x = separable(x, "encoder_q.0.Conv_1a", 2)
    x = functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    x = separable(unit(x, "encoder_q.0.Conv_2b"), "encoder_q.0.Conv_2c")
    x = functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for name in MIXED:
        if name == "Mixed_4b":
            x = functional.max_pool3d(x, 3, 2, 1)
        if name == "Mixed_5b":
            x = functional.max_pool3d(x, 2, 2)
        x = mixed(x, name)
    return x.mean(dim=(2, 3, 4))


def test_imported_weights_compute_what_coclr_computes(whole: State, tmp_path: Path) -> None:
    checkpoint, file = tmp_path / "epoch300.pth.tar", tmp_path / "coclr.safetensors"
    torch.save({"epoch": 300, "state_dict": whole, "best_acc": 0.5, "optimizer": {}}, checkpoint)
    card = import_coclr(checkpoint, file)
    assert card.source is not None
    assert card.source.startswith("epoch300.pth.tar, sha256 ")
    encoder = load_encoder(file)
    assert encoder.card == card
    clip = torch.rand(2, 3, 16, 64, 64, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        wanted = slow_features(whole, encoder.prepare(clip))
        assert wanted.std() > 0.01
        torch.testing.assert_close(encoder(clip), wanted, rtol=1e-3, atol=1e-4)


def test_every_tensor_has_one_place(whole: State) -> None:
    names = list(s3d_names())
    assert len({ours for _, _, ours in names}) == len(names)
    own = {name.removeprefix("encoder_q.0.") for name in whole if name.startswith("encoder_q.0.")}
    assert own == {name for theirs, alias, _ in names for name in (theirs, alias)}


def test_names_that_differ_are_told(whole: State) -> None:
    state = dict(whole)
    state["encoder_q.0.Mixed_3b.gating_b0.fc.weight"] = torch.zeros(64, 64)
    del state["encoder_q.0.Conv_2b.bn.bias"]
    state["encoder_q.0.Conv_1a.conv1.weight"] = torch.zeros(64, 2, 1, 7, 7)
    with pytest.raises(UserError) as raised:
        from_coclr(state, "their.pth")
    assert str(raised.value) == (
        "their.pth does not hold the tensors of this network: missing: encoder_q.0.Conv_2b.bn.bias; "
        "unknown: encoder_q.0.Mixed_3b.gating_b0.fc.weight; of another shape: "
        "encoder_q.0.Conv_1a.conv1.weight [64, 2, 1, 7, 7] instead of [64, 3, 1, 7, 7]"
    )


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    return Ended(cli.main(arguments), *capsys.readouterr())


def test_files_that_are_no_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, file = tmp_path / "their.pth", tmp_path / "ours.safetensors"
    for content, told in (
        (None, "cannot be read as a checkpoint of tensors: "),
        ([1], "is no checkpoint of CoCLR's pre-training: it has no state_dict of tensors"),
        ({"state_dict": {"fc.weight": torch.zeros(1)}}, "holds no tensor named encoder_q.0..."),
        ({"state_dict": {}, "hidden": Path}, "cannot be read as a checkpoint of tensors: "),
    ):
        if content is not None:
            torch.save(content, checkpoint)
        ended = run(capsys, "import", "coclr", str(checkpoint), str(file))
        assert ended.code == 2
        assert ended.err.startswith(f"error: {checkpoint} {told}"), ended.err
        assert ended.err.count("\n") == 1
    assert not file.exists()
