"""Where in a video a network sees its class (the paper's figure 4): class activation maps (Zhou et al. 2016).

The linear probe, batch norm and linear layer, is applied at every position of the backbone's last feature map
as it is to the map's mean. What it gives for the video's true class, averaged over time, is the map: its mean
over space is the logit of the clip, so a positive value speaks for the class and a negative one against it.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mvcgc.data.clips.dataset import Source, WindowDataset
from mvcgc.data.clips.modalities import RGB, Rgb
from mvcgc.data.clips.modality import ModalityConfig, built
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig, spread
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.loader import read
from mvcgc.errors import UserError
from mvcgc.files import write_atomic
from mvcgc.models.backbone import Backbone, BackboneConfig, backbone_params
from mvcgc.models.classifier import Probe
from mvcgc.models.encoder import widened
from mvcgc.stages.context import Result, StageContext
from mvcgc.stages.evaluate.classify import probe_file
from mvcgc.stages.evaluate.setup import encoder_backbone
from mvcgc.stages.kind import KindConfig, StageKind
from mvcgc.stages.spec import StageDataset, check_clip
from mvcgc.video import Matrix, to_rgb

EPSILON = 1e-12
"""Shortest length that a feature is divided by, as in `torch.nn.functional.normalize`."""

ACTIVATION = Path("activation.npz")
LINEAR = "linear"
"""The role of the parent that trained the probes."""


@dataclass
class ActivationConfig(KindConfig):
    """Choice of test videos.

    Attributes:
        videos: how many, evenly spread over the classes.
        names: paths within the dataset; where there are some, they are the choice.
    """

    videos: int = 8
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.videos < 1:
            raise UserError(f"activation.videos={self.videos}: look at one video at least")
        if len(set(self.names)) != len(self.names):
            raise UserError(f"activation.names={list(self.names)}: name different videos")


@dataclass
class ActivationSpec:
    """``activation/<dataset>``: ``task`` chooses the videos; ``motion`` is None without a motion view.

    ``weights`` are as in `EvaluateSpec`.
    """

    task: ActivationConfig
    views: list[str]
    modalities: dict[str, ModalityConfig]
    dataset: StageDataset
    clip: ClipConfig
    motion: MotionConfig | None
    backbone: BackboneConfig
    weights: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_clip(self.views, self.modalities, self.clip, self.motion, self.backbone)


class Activation(StageKind):
    """Class activation maps of the linear probe over chosen test videos, looked at in a plot."""

    version = 3
    Config = ActivationConfig
    Spec = ActivationSpec
    after = (LINEAR,)
    one_rank = True

    @staticmethod
    def run(context: StageContext, spec: ActivationSpec) -> Result:
        """Look at the chosen videos."""
        return run(context, spec)


@dataclass(frozen=True)
class Seen:
    """One video: the middle frame of its clip, and by view the map and the probability of its class."""

    frame: UInt8[Tensor, "S S 3"]
    maps: dict[str, Float[Tensor, "h w"]]
    scores: dict[str, Float[Tensor, ""]]


def run(context: StageContext, spec: ActivationSpec) -> Result:
    """Look at the chosen videos, each at the centre of its middle window, and leave ``activation.npz``:

    names [V] and labels [V] of the videos, ``classes`` (names in the order of the labels), ``frame`` uint8
    [V, S, S, 3] (the clip's middle one), and for every view ``map_<view>`` float32 [V, h, w] and
    ``score_<view>`` float32 [V], the probability of the true class.

    The headline metrics ``score_<view>`` are the mean probabilities, in per cent. Raises UserError for names
    that are no test videos, Interrupted after a stop signal.
    """
    manifest = context.manifest()
    chosen = choose(manifest, spec.task)
    context.journal.params(_params(spec))
    context.journal.begin(len(chosen), "video")
    networks = {view: _network(context, spec, manifest, view) for view in spec.views}
    seen = []
    for step, number in enumerate(chosen, 1):
        context.check_stop()
        seen.append(_look(context, spec, manifest, number, networks))
        scores = {f"score_{view}": 100 * score.item() for view, score in seen[-1].scores.items()}
        context.journal.metrics(step, scores)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **_arrays(manifest, chosen, seen))
    write_atomic(context.folder.path / ACTIVATION, buffer.getvalue())
    metrics = {
        f"score_{view}": 100 * torch.stack([one.scores[view] for one in seen]).mean().item()
        for view in spec.views
    }
    context.journal.metrics(len(chosen), metrics)
    return Result([ACTIVATION], metrics)


def choose(manifest: Manifest, sample: ActivationConfig) -> list[int]:
    """Ids of the test videos to look at: those that are named, or so many from classes far apart.

    Of as many classes as there are videos to choose, one each; of all of them several, where there are fewer.
    """
    test = manifest.require(manifest.ids("test"), "test")
    if sample.names:
        ids = {manifest.videos[number].path: number for number in test}
        for name in sample.names:
            if name not in ids:
                raise UserError(f"activation.names: {name} is no test video of {manifest.name}")
        return [ids[name] for name in sample.names]
    of_class: dict[int, list[int]] = {}
    for number in test:
        of_class.setdefault(manifest.videos[number].label, []).append(number)
    labels = sorted(of_class)
    each, more = divmod(sample.videos, len(labels))
    extra = set(spread(labels, more))
    return [number for label in labels for number in spread(of_class[label], each + (label in extra))]


def _params(spec: ActivationSpec) -> dict[str, str | int | float | bool | None]:
    """Return what names the run in a table of runs."""
    return {
        **backbone_params(spec.backbone),
        "task": "activation",
        "dataset": spec.dataset.name,
        "views": "+".join(spec.views),
        "frames": spec.clip.frames,
        "size": spec.clip.size,
        "videos": len(spec.task.names) or spec.task.videos,
    }


@dataclass(frozen=True)
class _Network:
    backbone: Backbone
    probe: Probe


def _network(context: StageContext, spec: ActivationSpec, manifest: Manifest, view: str) -> _Network:
    device = context.dist.device
    channels = built(spec.modalities, [view])[view].channels
    backbone = encoder_backbone(context, spec.backbone, view, channels, spec.weights)
    probe = Probe(backbone.dim, len(manifest.classes))
    path = context.parents[LINEAR].path / probe_file(view)
    probe.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return _Network(backbone, probe.to(device).eval())


def _look(
    context: StageContext,
    spec: ActivationSpec,
    manifest: Manifest,
    number: int,
    networks: Mapping[str, _Network],
) -> Seen:
    modalities = built(spec.modalities, spec.views)
    pictures = next((view for view, modality in modalities.items() if modality.colour), RGB)
    source = Source(
        manifest=manifest,
        ids=[number],
        modalities={pictures: Rgb(Rgb.Config()), **modalities},
        clip=spec.clip,
        motion=spec.motion or MotionConfig(),
        mestimate=spec.dataset.mestimate,
    )
    dataset = WindowDataset(source, crops=1, most_windows=1)
    (key,) = dataset.plan(0)
    batch = read([dataset.item(key)])
    clips = Inputs(source.modalities)(batch.to(context.dist.device))
    maps, scores = {}, {}
    with torch.no_grad():
        for view, network in networks.items():
            features = widened(network.backbone(clips[view][:, 0]))
            logits = class_map(network.probe, features)[0, batch.label[0]]
            maps[view] = logits.mean(dim=0).cpu()
            pooled = network.probe(features.mean(dim=(2, 3, 4)))
            scores[view] = pooled.softmax(dim=1)[0, batch.label[0]].cpu()
    middle = batch.views[pictures][0, 0, :, spec.clip.frames // 2].numpy()
    return Seen(torch.from_numpy(to_rgb(middle, Matrix(int(batch.matrix)))), maps, scores)


def class_map(probe: Probe, features: Float[Tensor, "B D t h w"]) -> Float[Tensor, "B classes t h w"]:
    """The probe's logits at every position of a feature map."""
    # All positions are divided by the mean's length, as the clip is: so their mean is the clip's logit.
    length = features.mean(dim=(2, 3, 4)).norm(dim=1).clamp(min=EPSILON)
    positions = (features / length.view(-1, 1, 1, 1, 1)).movedim(1, -1)
    logits: Tensor = probe.classify(positions.flatten(0, -2))
    return logits.reshape(*positions.shape[:-1], -1).movedim(-1, 1)


# Any: numpy's annotation takes every keyword for its flag allow_pickle.
def _arrays(manifest: Manifest, chosen: Sequence[int], seen: Sequence[Seen]) -> dict[str, Any]:
    videos = [manifest.videos[number] for number in chosen]
    arrays = {
        "names": np.array([video.path for video in videos]),
        "labels": np.array([video.label for video in videos]),
        "classes": np.array(manifest.classes),
        "frame": torch.stack([one.frame for one in seen]).numpy(),
    }
    for view in seen[0].maps:
        arrays[f"map_{view}"] = torch.stack([one.maps[view] for one in seen]).numpy()
        arrays[f"score_{view}"] = torch.stack([one.scores[view] for one in seen]).numpy()
    return arrays
