"""What a stage is told: ``config.yaml`` in its folder, and the typed specification within it."""

from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import cattrs
import yaml
from cattrs import transform_error
from cattrs.errors import ClassValidationError
from cattrs.v import format_exception

from mvcgc.data.prepare import DatasetConfig
from mvcgc.data.sampling import AugmentConfig, ClipConfig, MotionConfig
from mvcgc.data.views import RGB, check_views
from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.identity import StageFolder, plain, write_atomic
from mvcgc.models.backbone import MIN_FRAMES, MIN_SIDE, BackboneConfig
from mvcgc.positives import MethodConfig, Variant
from mvcgc.train.optim import Amp, OptimConfig

T = TypeVar("T")
# In C where there is libyaml: hundreds of configurations are written and read in a row.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class PretrainSpec:
    """``init/<view>``, one view with variant infonce, and ``cross``, two views with any variant.

    ``motion`` is None where no view is a motion view, so that what it says cannot make two equal stages
    differ.
    """

    views: list[str]
    dataset: DatasetConfig
    clip: ClipConfig
    motion: MotionConfig | None
    augment: AugmentConfig
    backbone: BackboneConfig
    method: MethodConfig
    optim: OptimConfig
    seed: int

    def __post_init__(self) -> None:
        check_clip(self.views, self.clip, self.motion)
        variant, cycles = self.method.variant, self.method.cycles
        if variant is Variant.init:
            raise UserError("method.variant=init has no objective of its own: initialise with infonce")
        if variant.needs_two_views and len(self.views) != 2:
            raise UserError(
                f"method.variant={variant.value} compares two views, views={self.views} is not two"
            )
        if variant is Variant.coclr and self.optim.epochs < 2 * cycles:
            raise UserError(
                f"optim.epochs={self.optim.epochs} is too few for method.cycles={cycles}: coclr trains each "
                f"view in turn, which takes {2 * cycles} epochs at least"
            )


def check_clip(views: list[str], clip: ClipConfig, motion: MotionConfig | None) -> None:
    """Raise UserError unless the views exist and their clips are large enough for every backbone."""
    check_views(views)
    if clip.frames < MIN_FRAMES:
        raise UserError(f"clip.frames={clip.frames}: the backbones need {MIN_FRAMES} frames at least")
    if RGB in views and clip.size < MIN_SIDE:
        raise UserError(f"clip.size={clip.size}: the backbones need {MIN_SIDE} pixels at least")
    moving = [view for view in views if view != RGB]
    if bool(moving) != (motion is not None):
        raise UserError(f"motion={motion} does not go with views={views}: it is for motion views")
    if motion is not None and motion.size < MIN_SIDE:
        raise UserError(f"motion.size={motion.size}: the backbones need {MIN_SIDE} pixels at least")


class Downstream(Enum):
    """What is done with pre-trained encoders."""

    linear = "linear"
    finetune = "finetune"
    retrieve = "retrieve"
    efficiency = "efficiency"
    activation = "activation"


@dataclass
class TestConfig:
    """How a video is tested: ``crops`` per window, 1 (the centre) or 10, over a moving window.

    ``windows`` takes at most that many, evenly spread; 0 takes as many as cover the whole video.
    """

    __test__ = False  # no test class, whatever pytest thinks of the name

    crops: int = 10
    windows: int = 0

    def __post_init__(self) -> None:
        if self.crops not in (1, 10):
            raise UserError(
                f"test.crops={self.crops}: use 1 (the centre) or 10 (corners and centre, mirrored)"
            )
        if self.windows < 0:
            raise UserError(f"test.windows={self.windows}: use a number of windows, or 0 for the whole video")


@dataclass
class EvaluateSpec:
    """``linear/<dataset>``, ``finetune/<dataset>`` and ``retrieve/<dataset>``, on the encoders of the
    parents.

    ``motion`` is as in `PretrainSpec`; ``optim`` is None for retrieval, which trains nothing.

    ``draws`` is for the linear probe alone. It learns from the features of so many random clips per training
    video, clip e modulo ``draws`` in epoch e: with as many as there are epochs no clip comes twice.
    ``dropout``, of the features under the classifier, is for full fine-tuning alone. ``amp`` is the precision
    of networks that do not learn: for features and tests.
    """

    task: Downstream
    views: list[str]
    dataset: DatasetConfig
    clip: ClipConfig
    motion: MotionConfig | None
    augment: AugmentConfig
    backbone: BackboneConfig
    test: TestConfig
    optim: OptimConfig | None
    draws: int | None
    dropout: float | None
    amp: Amp
    seed: int

    def __post_init__(self) -> None:
        own = (Downstream.efficiency, Downstream.activation)
        assert self.task not in own, f"{self.task.value} has a specification of its own"
        check_clip(self.views, self.clip, self.motion)
        for key, needed in (
            ("optim", self.task is not Downstream.retrieve),
            ("draws", self.task is Downstream.linear),
            ("dropout", self.task is Downstream.finetune),
        ):
            if (getattr(self, key) is not None) != needed:
                raise UserError(f"{key}={getattr(self, key)} does not go with task={self.task.value}")
        if self.draws is not None and self.draws < 1:
            raise UserError(f"draws={self.draws}: the linear probe learns from one clip per video at least")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise UserError(f"dropout={self.dropout}: give a probability from 0 up to, but not including, 1")


@dataclass
class Runtime:
    """How a stage runs; no part of its fingerprint.

    ``ranks`` processes, each with ``cpus`` threads of torch, ``gpus`` GPUs (0 or 1) and ``workers``
    processes that read videos. ``manifest`` is the published manifest's file. A scheduler spreads the ranks
    evenly over ``nodes`` machines and gives each machine ``mem_gb`` GB and the stage ``timeout_min`` minutes
    at a time, or what it gives by default. ``deterministic`` has GPUs compute the same bits again, see
    `mvcgc.dist.make_deterministic`: it changes the rounding alone, as another GPU or number of ranks does.
    """

    ranks: int = 1
    nodes: int = 1
    cpus: int = 1
    gpus: int = 0
    workers: int = 0
    device: Device = Device.auto
    manifest: str = ""
    checkpoint_every_s: float = 300.0
    log_every: int = 10
    deterministic: bool = False
    mem_gb: float | None = None
    timeout_min: int | None = None

    def __post_init__(self) -> None:
        for name in ("ranks", "nodes", "cpus", "log_every"):
            if getattr(self, name) < 1:
                raise UserError(f"runtime.{name}={getattr(self, name)} must be at least 1")
        for name in ("gpus", "workers", "checkpoint_every_s"):
            if getattr(self, name) < 0:
                raise UserError(f"runtime.{name}={getattr(self, name)} must not be negative")
        for name in ("mem_gb", "timeout_min"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"runtime.{name}={value} must be more than 0")
        if self.ranks % self.nodes:
            raise UserError(
                f"runtime.ranks={self.ranks} does not spread evenly over runtime.nodes={self.nodes}"
            )


@dataclass
class StageConfig:
    """``config.yaml``: all that a stage is told. ``spec`` is plain data, ``parents`` folders by role."""

    name: str
    kind: str
    fingerprint: str
    code_version: int
    spec: dict[str, Any]
    dataset_digest: str
    parents: dict[str, str]
    runtime: Runtime = field(default_factory=Runtime)

    def write(self, folder: StageFolder) -> None:
        """Put it into the stage's folder, atomically."""
        content = {**asdict(self), "spec": plain(self.spec), "runtime": plain(self.runtime)}
        write_atomic(folder.config, yaml.dump(content, Dumper=_DUMPER, sort_keys=False))

    @classmethod
    def read(cls, folder: StageFolder) -> "StageConfig":
        """Read it back. Raises UserError if it is not there or not whole."""
        try:
            content = yaml.load(folder.config.read_text(), _LOADER)
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"{folder.config} cannot be read: {' '.join(str(error).split())}") from error
        return _structured(content, cls, folder.config)


def read_spec(config: StageConfig, kind: type[T], folder: StageFolder) -> T:
    """The specification as its dataclass, every value checked. Raises UserError naming each wrong key."""
    return _structured(config.spec, kind, folder.config)


def _structured(content: Any, kind: type[T], source: Path) -> T:
    if not isinstance(content, dict):
        raise UserError(f"{source}: holds {type(content).__name__}, not keys and values")
    converter = cattrs.Converter(forbid_extra_keys=True)
    try:
        return converter.structure(content, kind)
    except ClassValidationError as error:
        found = transform_error(error, format_exception=_described)
        raise UserError(f"{source}: {'; '.join(found)}") from error


def _described(error: BaseException, kind: Any) -> str:
    """What is wrong with one value: our own words where a configuration has refused it."""
    return str(error) if isinstance(error, ValueError) else format_exception(error, kind)
