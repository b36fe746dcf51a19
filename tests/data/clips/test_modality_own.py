"""A modality of the user's own: named by a file, made in workers that find its module, seen by a network."""

import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from data_factories import STRONG, make_manifest, write_video

from mvcgc.config import compose
from mvcgc.data.clips.dataset import Source
from mvcgc.data.clips.modalities import Rgb, built_in
from mvcgc.data.clips.modality import Modality, built, check_views, needs_vectors, uses_motion
from mvcgc.data.clips.reading import Format, read_views
from mvcgc.data.clips.sampling import ClipConfig, Draw, MotionConfig
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.loader import train_loader
from mvcgc.errors import UserError
from mvcgc.parts import identity
from mvcgc.stages.kind import common
from mvcgc.video import Box, probe

CLIP, MOTION = ClipConfig(8, 32), MotionConfig(8, 24)
DRAWS = [Draw(3, Box(4, 8, 40, 60)), Draw(0, Box(0, 0, 64, 96)), Draw(3, Box(4, 8, 40, 60), flip=True)]
MODULE = """
    import sys
    from dataclasses import dataclass
    import numpy as np
    from mvcgc.data.clips.modality import Modality, ModalityConfig, Vectors

    class Difference(Modality):
        version = 1
        channels = 1
        planes = True

        @dataclass
        class Config(ModalityConfig):
            gain: float = 1.0

        def make(self, decoded, out):
            assert "torch" not in sys.modules or "pytest" in sys.modules, "a worker has torch"
            luma = decoded.planes[0].astype(np.float16)
            out[0, 0] = 0
            np.subtract(luma[1:], luma[:-1], out=out[0, 1:])

        def to_input(self, clips, out):
            out.copy_(clips).mul_(self.config.gain / 255)

    class Magnitude(Modality):
        version = 1
        channels = 1
        vectors = Vectors.STORED
        moving = True
        dtype = np.float32

        def make(self, decoded, out):
            vectors = np.empty((*out.shape[1:], 2), np.float16)
            decoded.sample(vectors)
            out[0] = np.hypot(*np.moveaxis(vectors.astype(np.float32), -1, 0))
"""
FILES = {
    "diff": "# @package views.diff\n_target_: own_modalities.Difference\ngain: 2.0\n",
    "magnitude": "# @package views.magnitude\n_target_: own_modalities.Magnitude\n",
    "lost": "_target_: own_modalities.Difference\n",
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the user's: a module, and files of the group ``views``."""
    (tmp_path / "own_modalities.py").write_text(textwrap.dedent(MODULE))
    (tmp_path / "conf/views").mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / "conf/views" / f"{name}.yaml").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_modalities", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def composed(*overrides: str) -> dict[str, Modality]:
    experiment = compose(["method=infonce", *overrides]).experiment
    return built(experiment.modalities, experiment.views)


def test_a_file_is_all_that_a_view_takes(own: Path) -> None:
    assert list(composed("views=[rgb,diff]")) == ["rgb", "diff"]
    assert composed("views=diff")["diff"].config.gain == 2.0
    assert composed("views=[rgb,diff]", "views.diff.gain=3")["diff"].config.gain == 3.0
    with pytest.raises(UserError, match=r"views\._target_=own_modalities\.Difference: begin the file with"):
        composed("views=lost")
    with pytest.raises(UserError, match=r"there is no key views\.diff\.gian: did you mean views\.diff\.gain"):
        composed("views=[rgb,diff]", "views.diff.gian=3")


def test_a_stage_is_told_of_its_own_modality_alone(own: Path) -> None:
    experiment = compose(["method=cmc", "views=[rgb,diff]"]).experiment
    told = common(experiment, ("diff",), experiment.dataset)
    assert told["motion"] is None
    assert list(told["modalities"]) == ["diff"]
    assert common(experiment, ("diff",), experiment.dataset)["modalities"] is told["modalities"]
    assert identity(told["modalities"]["diff"])["_target_"] == "own_modalities.Difference"
    assert "_source_" in identity(told["modalities"]["diff"])
    with_vectors = compose(["method=cmc", "views=[rgb,magnitude]"]).experiment
    assert common(with_vectors, ("magnitude",), with_vectors.dataset)["motion"] == with_vectors.motion
    assert needs_vectors(with_vectors.modalities, ["magnitude"])
    assert not needs_vectors(with_vectors.modalities, ["rgb"])
    assert not uses_motion(with_vectors.modalities, ["rgb"])


def test_vectors_of_two_kinds_are_refused_for_own_modalities_too(own: Path) -> None:
    modalities = compose(["method=infonce", "views=[magnitude,mv_coviar]"]).views
    with pytest.raises(UserError, match="own vectors or for new ones"):
        check_views(list(modalities), modalities)


def test_clips_are_made_beside_the_built_in_ones(own: Path) -> None:
    """One pass over the file; the built-in modalities are the same bit for bit as without the others."""
    path = write_video(own / "v.avi", frames=20, dx=3, dy=-2)
    both = {**composed("views=[rgb,diff]"), **composed("views=[mv,magnitude]")}

    def read(
        modalities: dict[str, Modality], clip: ClipConfig = CLIP, draws: list[Draw] = DRAWS
    ) -> dict[str, np.ndarray]:
        form = Format(modalities, clip, MOTION)
        arrays = form.empty(len(draws))
        read_views(path, probe(path), draws, form, arrays, mestimate=False)
        return arrays

    found, plain = read(both), read(built_in("rgb", "mv"))
    for view in ("rgb", "mv"):
        np.testing.assert_array_equal(found[view], plain[view])
    assert found["diff"].shape == (3, 1, 8, 32, 32)
    luma = plain["rgb"][:, 0].astype(np.float16)
    np.testing.assert_array_equal(found["diff"][:, 0, 1:], luma[:, 1:] - luma[:, :-1])
    assert found["magnitude"].dtype == np.float32
    expected = np.linalg.norm(plain["mv"].astype(np.float32), axis=-1)
    np.testing.assert_allclose(found["magnitude"][:, 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(read({"diff": both["diff"]})["diff"], found["diff"])
    long = read(both, ClipConfig(24, 32), DRAWS[1:2])  # four frames more than the video has
    assert (long["diff"][:, :, :4] == long["diff"][:, :, 4:5]).all()
    assert (long["magnitude"][:, :, :4] == long["magnitude"][:, :, 4:5]).all()


def test_two_modalities_of_pictures_have_each_their_own(own: Path) -> None:
    path = write_video(own / "v.avi", frames=20)
    form = Format({"rgb": Rgb(Rgb.Config()), "again": Rgb(Rgb.Config())}, CLIP, MOTION)
    arrays = form.empty(1)
    read_views(path, probe(path), DRAWS[:1], form, arrays, mestimate=False)
    np.testing.assert_array_equal(arrays["rgb"], arrays["again"])


@pytest.mark.parametrize("workers", [0, 1])
def test_workers_find_its_module_and_the_network_sees_it(own: Path, workers: int) -> None:
    manifest = make_manifest(own / "videos", 4)
    modalities = composed("views=[rgb,diff]")
    source = Source(manifest, manifest.training(), modalities, CLIP, MOTION)
    loader = train_loader(
        source, STRONG, clips=2, batch_size=3, seed=0, workers=workers, device=torch.device("cpu")
    )
    (batch,) = list(loader)
    seen = Inputs(modalities, STRONG)(batch)
    assert seen["diff"].shape == (3, 2, 1, 8, 32, 32)
    stored, flips = batch.views["diff"].float(), batch.draws[..., 0].bool()
    assert flips.any()
    mirrored = torch.where(flips[..., None, None, None, None], stored.flip(-1), stored)
    torch.testing.assert_close(seen["diff"], mirrored * 2 / 255)
