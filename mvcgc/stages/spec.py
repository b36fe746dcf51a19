"""What a stage is told: ``config.yaml`` in its folder, and the typed specification within it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cattrs
import yaml
from cattrs import transform_error
from cattrs.errors import ClassValidationError
from cattrs.v import format_exception

from mvcgc.data.clips.modality import ModalityConfig, built, check_views, uses_motion
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.files import write_atomic
from mvcgc.models.backbone import BackboneConfig
from mvcgc.parts import structure_parts, verify
from mvcgc.runs.fingerprint import plain
from mvcgc.runs.folder import StageFolder

T = TypeVar("T")
# In C where there is libyaml: hundreds of configurations are written and read in a row.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_clip(
    views: list[str],
    modalities: dict[str, ModalityConfig],
    clip: ClipConfig,
    motion: MotionConfig | None,
    backbone: BackboneConfig,
) -> None:
    """Raise UserError unless the views exist and their clips are large enough for the backbone."""
    check_views(views, modalities)
    network = backbone.part
    if clip.frames < network.min_frames:
        raise UserError(
            f"clip.frames={clip.frames}: backbone={network.label} needs {network.min_frames} frames at least"
        )
    if uses_motion(modalities, views) != (motion is not None):
        raise UserError(f"motion={motion} does not go with views={views}: it is for motion views")
    for view, modality in built(modalities, views).items():
        size = modality.size(clip, motion or MotionConfig())
        if size < network.min_side:
            key = "motion.size" if modality.moving else "clip.size"
            raise UserError(
                f"{key}={size}: backbone={network.label} needs {network.min_side} pixels at least, for {view}"
            )


@dataclass
class StageDataset:
    """What a stage is told of its dataset beside the digest of the manifest.

    Every other setting of a dataset only decides what the manifest lists, so the digest stands for it: a
    stage neither knows nor imports the layout, and an edited layout gives other stages only if it lists
    other videos, labels, groups or splits.

    Attributes:
        name: label for metrics and exported weights; no part of the fingerprint.
        mestimate: block-match motion vectors where the codec exports none.
    """

    name: str
    mestimate: bool = False


@dataclass
class Runtime:
    """How a stage runs; no part of its fingerprint.

    ``ranks`` processes, each with ``cpus`` threads of torch, ``gpus`` GPUs (0 or 1) and ``workers``
    processes that read videos. ``manifest`` is the published manifest's file. A scheduler spreads the ranks
    evenly over ``nodes`` machines and gives each machine ``mem_gb`` GB and the stage ``timeout_min`` minutes
    at a time, or what it gives by default. ``import_from`` are folders in which parts of the user's own are
    found; ``weights`` are the files of given weights, by view.
    ``deterministic`` has GPUs compute the same bits again, see
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
    import_from: list[str] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)

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
    """``config.yaml``: all that a stage is told.

    ``program`` is the import path of its kind's class, ``spec`` plain data, ``parents`` are folders by role.
    """

    name: str
    kind: str
    program: str
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
    structure_parts(converter, verify)
    try:
        return converter.structure(content, kind)
    except ClassValidationError as error:
        found = transform_error(error, format_exception=_described)
        raise UserError(f"{source}: {'; '.join(found)}") from error


def _described(error: BaseException, kind: Any) -> str:
    """Return what is wrong with one value: our own words where a configuration has refused it."""
    return str(error) if isinstance(error, ValueError) else format_exception(error, kind)
