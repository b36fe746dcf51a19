"""From a finished stage to a file and back to an encoder, in this process and by ``torch.hub``."""

import sys
from pathlib import Path

import pytest
import torch
from commands import Command, assert_mistake
from fake_sweep import FakeSweep
from stage_factories import CROSS, INFONCE, make_dataset, make_stage, spec

import mvcgc
from mvcgc import cli
from mvcgc.commands.weights import export_encoder
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.clips.sampling import Draw
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.batch import Batch
from mvcgc.errors import UserError
from mvcgc.models import pool_map
from mvcgc.models.pretrained import load_encoder
from mvcgc.plan import StageRecord
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.evaluate.setup import load_backbone
from mvcgc.stages.runner import main
from mvcgc.video import Box, Matrix
from mvcgc.video.colour import weights

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StageFolder]:
    """A real initialisation and a real cross stage, finished."""
    root = tmp_path_factory.mktemp("runs")
    dataset = make_dataset(tmp_path_factory.mktemp("small"))
    made = {
        "init/rgb": make_stage(root, "init/rgb", spec(["rgb"], INFONCE), dataset),
        "cross": make_stage(root, "cross", spec(["rgb", "mv"], CROSS), dataset),
    }
    for folder in made.values():
        assert main([str(folder.path)]) == 0
    return made


@pytest.fixture
def unfinished(stages: dict[str, StageFolder], tmp_path: Path) -> StageFolder:
    """A copy of the initialisation without DONE.json."""
    return copy_of(stages["init/rgb"], tmp_path / "runs", "DONE.json")


def copy_of(stage: StageFolder, root: Path, without: str) -> StageFolder:
    folder = StageFolder.of(root, "init/rgb", stage.fingerprint)
    folder.path.mkdir(parents=True)
    for file in stage.path.iterdir():
        if file.is_file() and file.name != without:
            (folder.path / file.name).write_bytes(file.read_bytes())
    return folder


def clips_of(view: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Two stored clips as a user gives them to an encoder, and as training gives them to the network."""
    generator = torch.Generator().manual_seed(0)
    if view == "rgb":
        stored = torch.randint(0, 256, (2, 1, 3, 8, 32, 32), generator=generator, dtype=torch.uint8)
        factors = torch.tensor([weights(Matrix.BT601)] * 2)
        given = torch.baddbmm(factors[..., 3:], factors[..., :3], stored[:, 0].float().flatten(2))
        given = given.clamp(0, 1).view(2, 3, 8, 32, 32)
    else:
        stored = (torch.randn(2, 1, 8, 32, 32, 2, generator=generator) * 4).half()
        given = stored[:, 0].permute(0, 4, 1, 2, 3).float()
    ids = torch.arange(2)
    draws = torch.tensor([[Draw(0, Box(0, 0, 32, 32)).row()]] * 2)
    batch = Batch({view: stored}, draws, ids, ids, ids, ["a", "b"], 0 * ids)
    return given, Inputs(built_in(view))(batch)[view][:, 0]


@pytest.mark.parametrize(("name", "view"), [("init/rgb", "rgb"), ("cross", "rgb"), ("cross", "mv")])
def test_round_trip_is_bit_exact(
    stages: dict[str, StageFolder], tmp_path: Path, name: str, view: str
) -> None:
    stage, file = stages[name], tmp_path / "encoder.safetensors"
    written = export_encoder(stage, file, view)
    encoder = mvcgc.load_encoder(file)
    assert encoder.card == written
    assert not encoder.training
    wanted = load_backbone(stage, encoder.card.backbone, encoder.card.in_channels, view, torch.device("cpu"))
    given, seen = clips_of(view)
    with torch.no_grad():
        assert torch.equal(encoder.prepare(given), seen)
        assert torch.equal(encoder(given), pool_map(wanted(seen)))
    for key, value in wanted.state_dict().items():
        assert torch.equal(value, encoder.backbone.state_dict()[key])


def test_the_card_tells_what_it_is(stages: dict[str, StageFolder], tmp_path: Path) -> None:
    file = tmp_path / "mv.safetensors"
    export_encoder(stages["cross"], file, "mv")
    card = load_encoder(file).card
    assert (card.view, card.backbone, card.in_channels) == ("mv", spec(["mv"], INFONCE).backbone, 2)
    assert (card.frames, card.size, card.cell) == (8, 32, 8)
    assert (card.method, card.dataset, card.stage) == ("mvcgc", "small", "cross")
    assert card.fingerprint == stages["cross"].fingerprint
    assert card.commit is None or len(card.commit.split()[0]) == 40


def test_only_whole_finished_pretraining_is_exported(
    stages: dict[str, StageFolder], unfinished: StageFolder, tmp_path: Path
) -> None:
    file = tmp_path / "encoder.safetensors"
    with pytest.raises(UserError, match=r"is not finished: it has no DONE\.json: run it"):
        export_encoder(unfinished, file, None)
    damaged = copy_of(stages["init/rgb"], tmp_path / "damaged", "none")
    with (damaged.path / "encoder_rgb.pt").open("r+b") as weights:
        weights.seek(100)
        weights.write(b"!")
    with pytest.raises(UserError, match=r"encoder_rgb.pt is not the file that DONE.json names"):
        export_encoder(damaged, file, None)
    text = unfinished.config.read_text()
    unfinished.config.write_text(text.replace("kind: cross", "kind: linear"))
    with pytest.raises(UserError, match=r"trains no encoder: export an init or a cross stage"):
        export_encoder(unfinished, file, None)
    assert not file.exists()


def test_a_view_must_be_told_apart(stages: dict[str, StageFolder], tmp_path: Path) -> None:
    file = tmp_path / "encoder.safetensors"
    with pytest.raises(UserError, match=r"^no --view: cross-.* has rgb and mv, give one of them"):
        export_encoder(stages["cross"], file, None)
    with pytest.raises(UserError, match=r"^--view mv: rgb-.* has rgb, give one of them"):
        export_encoder(stages["init/rgb"], file, "mv")


def test_export_as_a_command(
    stages: dict[str, StageFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage = stages["cross"]
    root = stage.path.parents[1]
    record = StageRecord("cross", "cross", stage.fingerprint, 2, "d1" * 32, {})
    FakeSweep(root, stages={f"cross-{stage.fingerprint}": record}).write()
    monkeypatch.setenv("MVCGC_ROOT", str(root))
    command = Command(lambda: cli.main(sys.argv[1:]), "mvcgc", monkeypatch, capsys)
    file = tmp_path / "rgb.safetensors"
    ended = command("export", "cross", str(file), "--view", "rgb")
    assert ended.code == 0, ended
    assert ended.out == f"{file}: rgb of cross, r3d_18, width=0.0625\n"
    before = file.read_bytes()
    assert_mistake(command("export", "cross", str(file), "--view", "rgb"), f"{file} exists: remove it")
    assert file.read_bytes() == before
    assert_mistake(command("export", "warp", str(tmp_path / "new")), "warp: no stage of this name")
    assert_mistake(
        command("export", "cross", str(tmp_path / "no" / "file")), f"{tmp_path}/no/file: there is no folder"
    )


def test_torch_hub_loads_a_file_or_a_url(
    stages: dict[str, StageFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rgb.safetensors"
    export_encoder(stages["init/rgb"], file, None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    given, _ = clips_of("rgb")
    wanted = load_encoder(file)(given)
    for place in (str(file), file.as_uri()):
        encoder = torch.hub.load(str(REPOSITORY), "mvcgc_encoder", place, source="local")
        assert torch.equal(encoder(given), wanted)
    file.unlink()  # what has been fetched is kept
    assert torch.equal(
        torch.hub.load(str(REPOSITORY), "mvcgc_encoder", file.as_uri(), source="local")(given), wanted
    )
