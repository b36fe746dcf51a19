"""Common ground of downstream tasks: videos with their clips and classes, and the parents' backbones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mvcgc.data.augment.base import Augmentation
from mvcgc.data.clips.dataset import DrawDataset, Source, WindowDataset
from mvcgc.data.clips.modality import Modality, built
from mvcgc.data.clips.sampling import MotionConfig
from mvcgc.data.index.manifest import Manifest
from mvcgc.errors import UserError
from mvcgc.models.backbone import Backbone, BackboneConfig, build_backbone
from mvcgc.models.encoder import pool_map
from mvcgc.models.layers import lay_out
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.context import StageContext
from mvcgc.stages.evaluate.inference import ROWS, Compute, Pass
from mvcgc.stages.evaluate.spec import EvaluateSpec
from mvcgc.stages.given import start_backbone
from mvcgc.stages.pretrain.run import encoder_file
from mvcgc.train import ScheduleKind


@dataclass(frozen=True)
class Bench:
    """One evaluation. Raises UserError where the dataset lacks classes, or a part for the plateau."""

    context: StageContext
    spec: EvaluateSpec
    manifest: Manifest

    def __post_init__(self) -> None:
        if not self.manifest.labelled:
            raise UserError(f"dataset.name={self.manifest.name}: its videos have no classes to evaluate by")
        optim = self.spec.optim
        if optim is not None and optim.schedule is ScheduleKind.plateau and not self.val:
            raise UserError(
                f"optim.schedule=plateau: {self.manifest.name} has no validation part; use cosine or constant"
            )

    @property
    def train(self) -> list[int]:
        """Ids of the videos that a classifier learns from."""
        ids = self.manifest.ids("train") if self.spec.hold_out else self.manifest.training()
        return self.manifest.require(ids, "training")

    @property
    def val(self) -> list[int]:
        """Ids of the validation part; there may be none, as where classifiers learn from it."""
        learnt = set() if self.spec.hold_out else set(self.manifest.training())
        return [number for number in self.manifest.ids("val") if number not in learnt]

    @property
    def test(self) -> list[int]:
        """Ids of the test part."""
        return self.manifest.require(self.manifest.ids("test"), "test")

    @property
    def augmentation(self) -> Augmentation:
        """Augmentation of the clips that a classifier is trained on."""
        assert self.spec.augment is not None, f"{self.spec.task.part.__name__} declares no random clips"
        return self.spec.augment.part(self.spec.augment)

    def completeness(self) -> dict[str, float]:
        """Count the videos of the test part: tested, of them shorter than a clip (padded), and refused."""
        frames = self.spec.clip.frames
        padded = sum(self.manifest.videos[number].info.frames < frames for number in self.test)
        missing = sum(one.part == "test" for one in self.manifest.rejected)
        counts = {"test_videos": len(self.test), "test_padded": padded, "test_missing": missing}
        return {name: float(count) for name, count in counts.items()}

    def labels(self, ids: Sequence[int]) -> Tensor:
        """Classes of the videos, int64."""
        return torch.tensor([self.manifest.videos[number].label for number in ids])

    def names(self, ids: Sequence[int]) -> list[str]:
        """Paths of the videos within the dataset."""
        return [self.manifest.videos[number].path for number in ids]

    def modalities(self, views: Sequence[str]) -> dict[str, Modality]:
        """Return the modalities that the networks of ``views`` take."""
        return built(self.spec.modalities, views)

    def source(self, ids: list[int], views: Sequence[str]) -> Source:
        """The videos ``ids`` as ``views``."""
        return Source(
            manifest=self.manifest,
            ids=ids,
            modalities=self.modalities(views),
            clip=self.spec.clip,
            motion=self.spec.motion or MotionConfig(),
            mestimate=self.spec.dataset.mestimate,
        )

    def whole(self, name: str, ids: list[int], crops: int | None = None) -> Pass:
        """Videos as they are tested, or with other ``crops``: their crops' and windows' rows are averaged."""
        test = self.spec.test

        def clips(ids: list[int]) -> WindowDataset:
            source = self.source(ids, self.spec.views)
            return WindowDataset(source, crops or test.crops, test.windows, ROWS)

        return Pass(name, ids, clips, _mean, self.spec.amp)

    def glance(self, name: str, ids: list[int]) -> Pass:
        """One clip per video, the centre of its middle window: enough to watch a training by."""

        def clips(ids: list[int]) -> WindowDataset:
            return WindowDataset(self.source(ids, self.spec.views), 1, 1, ROWS)

        return Pass(name, ids, clips, _mean, self.spec.amp)

    def draws(self, name: str, ids: list[int], count: int) -> Pass:
        """``count`` random clips per video, augmented as in training, none of them averaged."""
        augmentation = self.augmentation

        def clips(ids: list[int]) -> DrawDataset:
            source = self.source(ids, self.spec.views)
            return DrawDataset(source, augmentation, self.spec.seed, count, ROWS)

        return Pass(name, ids, clips, _each, self.spec.amp, augmentation)

    def backbone(self, view: str) -> Backbone:
        """The view's pre-trained backbone, on the device, in evaluation mode."""
        channels = self.modalities([view])[view].channels
        return encoder_backbone(self.context, self.spec.backbone, view, channels, self.spec.weights)

    def backbones(self) -> dict[str, Backbone]:
        """Those of all views."""
        return {view: self.backbone(view) for view in self.spec.views}


def encoder_backbone(
    context: StageContext, config: BackboneConfig, view: str, channels: int, weights: Mapping[str, str]
) -> Backbone:
    """Return the backbone of ``view`` on the device, in evaluation mode.

    It is the parent's, or one of the ``weights`` that no stage trains (`mvcgc.stages.given`).
    """
    device = context.dist.device
    if view not in weights:
        return load_backbone(context.parents[view], config, channels, view, device)
    backbone = start_backbone(config, view, channels, weights[view], context.config.runtime.weights)
    lay_out(backbone.to(device))
    return backbone.eval()


def load_backbone(
    parent: StageFolder, config: BackboneConfig, channels: int, view: str, device: torch.device
) -> Backbone:
    """The backbone that a pre-training stage has left of a view, on ``device``, in evaluation mode."""
    state = torch.load(parent.path / encoder_file(view), map_location="cpu", weights_only=True)
    prefix = "backbone."
    backbone = build_backbone(config, channels)
    backbone.load_state_dict(
        {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    )
    lay_out(backbone.to(device))
    return backbone.eval()


def embed(backbones: Mapping[str, Backbone], *, normalised: bool = False) -> Compute:
    """The backbones' pooled features of clips, by view; ``normalised``: each of length 1."""

    def compute(clips: dict[str, Tensor]) -> dict[str, Tensor]:
        found = {view: pool_map(backbone(clips[view])) for view, backbone in backbones.items()}
        return {view: normalize(rows, dim=1) for view, rows in found.items()} if normalised else found

    return compute


def _mean(rows: Tensor) -> Tensor:
    return rows.mean(dim=0)


def _each(rows: Tensor) -> Tensor:
    return rows
