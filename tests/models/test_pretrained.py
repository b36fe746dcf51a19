"""Encoder files that cannot be read, and clips that an encoder cannot take."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mvcgc.errors import UserError
from mvcgc.models.pretrained import EncoderCard, PretrainedEncoder, RgbInput, load_encoder, save_encoder
from mvcgc.models.tiny import R2Plus1D4
from mvcgc.runs.fingerprint import plain

CARD = EncoderCard(
    view="rgb",
    backbone=R2Plus1D4.Config(0.0625),
    in_channels=3,
    frames=8,
    size=32,
    cell=None,
    input=RgbInput((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    method="infonce",
    dataset="demo",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, CARD, PretrainedEncoder(CARD).backbone.state_dict())
    return path


def rewrite(file: Path, header: str | None = None, **tensors: torch.Tensor) -> None:
    """The file with another card, or other tensors."""
    save_file({**load_file(file), **tensors}, file, {"mvcgc": header or json.dumps(plain(CARD))})


def refused(file: Path) -> str:
    with pytest.raises(UserError) as raised:
        load_encoder(file)
    text = str(raised.value)
    assert text.startswith(str(file))
    assert "\n" not in text
    return text


def test_rgb_is_normalised_by_channel(file: Path) -> None:
    encoder = load_encoder(file)
    clip = torch.full((1, 3, 8, 32, 32), 0.75)
    assert torch.equal(encoder.prepare(clip), torch.ones_like(clip))
    assert encoder(clip).shape == (1, encoder.dim)


def test_files_that_are_none_of_ours(file: Path, tmp_path: Path) -> None:
    assert "cannot be read as safetensors" in refused(tmp_path / "none.safetensors")
    tensors = load_file(file)
    save_file(tensors, file)
    assert refused(file).endswith("is no encoder file of mvcgc: its metadata has no entry 'mvcgc'")
    file.write_bytes(file.read_bytes()[:200])
    assert "cannot be read as safetensors" in refused(file)


def test_cards_that_cannot_be_read(file: Path) -> None:
    card = plain(CARD)
    rewrite(file, "{")
    assert "the metadata 'mvcgc' is not JSON" in refused(file)
    rewrite(file, json.dumps({**card, "format": 1}))
    assert refused(file).endswith(
        "is an encoder file of format 1, this mvcgc reads 2: export or import it again"
    )
    for change, line in (
        ({"arch": "vit"}, "extra fields found (arch) @ $.backbone"),
        ({"width": 9}, "backbone.width=9"),
        ({"width": "wide"}, "$.backbone.width"),
        ({"_target_": "mylab.ViT"}, "backbone._target_=mylab.ViT: there is no module mylab"),
        ({"_target_": "mvcgc.method.cmc.CMC"}, "CMC: is no mvcgc.models.backbone.Backbone"),
        (
            {"_version_": 7},
            "backbone: mvcgc.models.tiny.R2Plus1D4 has version 1, the weights are for version 7",
        ),
    ):
        rewrite(file, json.dumps({**card, "backbone": {**card["backbone"], **change}}))
        assert line in refused(file)


def test_tensors_that_do_not_fit_are_named(file: Path) -> None:
    tensors = load_file(file)
    rewrite(file, extra=torch.zeros(1))
    assert refused(file).endswith("unknown: extra")
    del tensors["layers.0.weight"]
    tensors["layers.1.weight"] = torch.zeros(3)
    save_file(tensors, file, {"mvcgc": json.dumps(plain(CARD))})
    assert "missing: layers.0.weight; of another shape: layers.1.weight [3] instead of [" in refused(file)


def test_clips_of_another_sort_are_refused(file: Path) -> None:
    encoder = load_encoder(file)
    with pytest.raises(ValueError, match=r"clip of torch.uint8 .* floating-point values in \[0, 1\]"):
        encoder(torch.zeros(1, 3, 8, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"shape \[1, 2, 8, 32, 32\]: .* \[B, 3, T, H, W\]"):
        encoder(torch.zeros(1, 2, 8, 32, 32))
    with pytest.raises(ValueError, match="too small"):
        encoder(torch.zeros(1, 3, 4, 32, 32))


def test_importing_the_package_stays_light() -> None:
    loaded = "'torch' in sys.modules"
    code = f"import sys, mvcgc; assert not {loaded}; mvcgc.load_encoder; assert {loaded}"
    subprocess.run([sys.executable, "-c", code], check=True)
