"""An augmentation of a user's own: other draws, and an operation on the device with parameters of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from data_factories import make_manifest
from torch import Tensor

from mvcgc.data.augment.base import Augmentation, Draws
from mvcgc.data.augment.colour import apply
from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.dataset import Source
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.clips.modality import Modality
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.data.inputs import MEAN, STD, Inputs
from mvcgc.data.loading.batch import Batch
from mvcgc.data.loading.loader import train_loader


class Inverted(Photometric):
    """As the docstring of the base shows it."""

    version = 1
    columns: ClassVar[Mapping[str, float]] = {**Photometric.columns, "invert": 0.0}

    @dataclass
    class Config(Photometric.Config):
        invert_p: float = 0.5

    config: Config

    def parameters(self, random: Iterator[float]) -> tuple[float, ...]:
        return (*super().parameters(random), float(next(random) < self.config.invert_p))

    def change(self, clips: Tensor, draws: Draws, modality: Modality) -> None:
        super().change(clips, draws, modality)
        if modality.colour:
            apply(lambda chosen, _: 1 - chosen, clips, draws["invert"])


class Still(Augmentation):
    """Always the first frames; nothing of its own on the device."""

    version = 1

    def draw(self, random, footage):
        return self.clip(random, 0, footage), self.clip(random, 0, footage)


CALM = {"jitter_p": 0.0, "grey_p": 0.0, "blur_p": 0.0, "flip": 0.0}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    manifest = make_manifest(tmp_path_factory.mktemp("videos"), 8)
    return Source(
        manifest, manifest.training(), built_in("rgb", "mv"), ClipConfig(8, 16), MotionConfig(8, 16)
    )


def batches(
    source: Source, part: Augmentation, workers: int = 0, rank: int = 0, world: int = 1
) -> list[Batch]:
    loader = train_loader(
        source,
        part,
        clips=2,
        batch_size=4,
        seed=0,
        workers=workers,
        device=torch.device("cpu"),
        rank=rank,
        world=world,
    )
    return list(loader)


def rgb(batch: Batch, part: Augmentation | None) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (MEAN, STD))
    return Inputs(built_in("rgb", "mv"), part)(batch)["rgb"] * std + mean


def test_its_operation_changes_the_clips_that_it_drew(source: Source) -> None:
    part = Inverted(Inverted.Config(**CALM))
    seen = set()
    for batch in batches(source, part):
        plain = Batch(**{**vars(batch), "draws": batch.draws[..., :1]})
        changed, as_it_was = rgb(batch, part), rgb(plain, None)
        for row in range(len(batch)):
            for clip in range(2):
                inverted = bool(batch.draws[row, clip, -1])
                seen.add(inverted)
                expected = 1 - as_it_was[row, clip] if inverted else as_it_was[row, clip]
                torch.testing.assert_close(changed[row, clip], expected, atol=1e-5, rtol=0)
    assert seen == {True, False}


def test_its_draws_are_the_same_for_any_number_of_workers_and_ranks(source: Source) -> None:
    part = Inverted(Inverted.Config())
    alone = batches(source, part)
    for helped, own in zip(batches(source, part, workers=1), alone, strict=True):
        assert torch.equal(helped.draws, own.draws)
        assert torch.equal(helped.views["rgb"], own.views["rgb"])
    ranks = [batches(source, part, rank=rank, world=2) for rank in (0, 1)]
    for own, *shares in zip(alone, *ranks, strict=True):
        assert torch.equal(torch.cat([share.draws for share in shares]), own.draws)


def test_it_decides_which_frames_are_shown(source: Source) -> None:
    part = Still(Still.Config())
    assert all(draw.start == 0 for epoch in range(5) for draw in source.draw(0, epoch, 0, part))
    (first, *_) = batches(source, part)
    assert first.draws.shape[-1] == 1
    assert Inputs(built_in("rgb", "mv"), part)(first)["mv"].isfinite().all()


def test_the_drawing_of_a_base_goes_on_below_its_own(source: Source) -> None:
    own, base = Inverted(Inverted.Config()), Photometric(Photometric.Config())
    mine, theirs = (source.draw(1, 3, 0, part)[0] for part in (own, base))
    assert (mine.start, mine.crop, mine.flip) == (theirs.start, theirs.crop, theirs.flip)
    assert mine.parameters[:-1] == theirs.parameters


def test_the_module_of_an_own_part_need_not_be_importable_for_workers(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers get plain draws: a class that cannot even be pickled serves as well."""
    local = type("Local", (Inverted,), {"version": 1})
    assert batches(source, local(local.Config()), workers=1)[0].draws.shape[-1] == 9
