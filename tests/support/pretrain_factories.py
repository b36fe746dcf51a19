"""Made-up batches for pre-training, and runs on them; imported in other processes, so without pytest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mvcgc import dist
from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.clips.sampling import permutation
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.batch import Batch
from mvcgc.method import task as contrast_module
from mvcgc.method.base import MethodConfig
from mvcgc.method.coclr import CoCLR
from mvcgc.method.momentum import ContrastModel
from mvcgc.method.mvcgc import MVCGC, Mining
from mvcgc.method.shuffle import Shuffle
from mvcgc.method.task import Contrast
from mvcgc.models import Backbone, BackboneConfig
from mvcgc.runs.journal import JournalWriter
from mvcgc.train import Checkpoints, Interrupted, NoJournal, OptimConfig, ScheduleKind, Session, StopFlag, fit

VIDEOS, CLASSES, FRAMES, SIZE = 24, 4, 8, 32
COMMON = {"queue": 16, "momentum": 0.9, "dim": 16}
METHOD = MVCGC.Config(mining=Mining.union, k=3, **COMMON)
OPTIM = OptimConfig(lr=3e-3, epochs=6, batch_size=8, schedule=ScheduleKind.constant)


class Loader:
    """Every video has its own picture and motion, beside its class's; its two clips see them noisily."""

    def __init__(self, optim: OptimConfig, hook: Callable[[int, int], None] | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        label = torch.arange(VIDEOS) % CLASSES

        def patterns(channels: int) -> Tensor:
            kinds = torch.randn(CLASSES, 1, 4, 4, channels, generator=generator)
            own = torch.randn(VIDEOS, 1, 4, 4, channels, generator=generator)
            small = kinds[label] + 0.7 * own
            return small.repeat_interleave(SIZE // 4, 2).repeat_interleave(SIZE // 4, 3)

        def clips(base: Tensor) -> Tensor:
            shape = (VIDEOS, 2, FRAMES, SIZE, SIZE, base.shape[-1])
            return base[:, None].expand(shape) + 0.2 * torch.randn(shape, generator=generator)

        self.rgb = (128 + 40 * clips(patterns(3))).clamp(0, 255).to(torch.uint8).movedim(-1, 2)
        self.mv = clips(patterns(2)).half()
        self.label = label
        self.optim, self.hook = optim, hook
        self.share = optim.micro_batch(dist.world())

    def __len__(self) -> int:
        return VIDEOS // (self.share * dist.world())

    def epoch(self, epoch: int, step: int) -> Iterator[Batch]:
        order = torch.tensor(permutation(0, epoch, VIDEOS))
        for micro in range(step * self.optim.accumulate, len(self)):
            if self.hook is not None:
                self.hook(epoch, micro)
            first = (micro * dist.world() + dist.rank()) * self.share
            yield self.batch(order[first : first + self.share])

    def batch(self, ids: Tensor) -> Batch:
        return Batch(
            views={"rgb": self.rgb[ids], "mv": self.mv[ids]},
            draws=torch.zeros(len(ids), 2, 1),
            video=ids,
            group=ids // 2,
            label=self.label[ids],
            names=[f"{number}.avi" for number in ids.tolist()],
            matrix=torch.zeros_like(ids),
        )


class SmallBackbone(Backbone):
    """Two layers instead of sixty; the real ones take a second per step at this size."""

    version = 1

    @dataclass
    class Config(BackboneConfig):
        """norm: whether there is batch norm."""

        norm: bool = True

    def __init__(self, config: Config, in_channels: int) -> None:
        super().__init__(config, in_channels)
        norm = nn.BatchNorm3d if config.norm else nn.Identity
        first = nn.Conv3d(in_channels, 16, (1, 4, 4), stride=(2, 4, 4), bias=False)
        second = nn.Conv3d(16, 32, (2, 4, 4), stride=(2, 4, 4), bias=False)
        self.layers = nn.Sequential(first, norm(16), nn.ReLU(), second, norm(32), nn.ReLU())
        self.dim = 32

    def forward(self, clip: Tensor) -> Tensor:
        features: Tensor = self.layers(clip.contiguous(memory_format=torch.channels_last_3d))
        return features


class OneView(Loader):
    """As initialisation has it."""

    def batch(self, ids: Tensor) -> Batch:
        both = super().batch(ids)
        return replace(both, views={"rgb": both.views["rgb"]})


def contrast(
    method: MethodConfig = METHOD,
    optim: OptimConfig = OPTIM,
    views: tuple[str, ...] = ("rgb", "mv"),
    norm: bool = True,
) -> Contrast:
    torch.manual_seed(1)
    channels = {view: {"rgb": 3, "mv": 2}[view] for view in views}
    model = ContrastModel(channels, SmallBackbone.Config(norm), method)
    return Contrast(model, method.part(method), optim.epochs, Inputs(built_in(*views)))


def pretrain(
    folder: Path,
    task: Contrast,
    optim: OptimConfig = OPTIM,
    *,
    attempt: int = 1,
    loader: Loader | None = None,
    stop: StopFlag | None = None,
) -> dict[str, float]:
    """``fit`` with a journal and checkpoints in ``folder``."""
    place = dist.Dist(dist.rank(), dist.world(), dist.rank(), torch.device("cpu"))
    with stop or StopFlag() as flag:
        journal = JournalWriter(folder / "journal", attempt) if place.is_main else NoJournal()
        session = Session(
            "cross",
            place,
            journal,
            Checkpoints(folder / "checkpoint"),
            flag,
            log_every=1,
            checkpoint_every_s=1e6,
        )
        try:
            return fit(task, loader or Loader(optim), optim, session)
        finally:
            if isinstance(journal, JournalWriter):
                journal.close()


def mixture() -> Batch:
    """Eight samples whose files are tagged BT.601 and BT.709 by turns, each with draws of its own."""
    ids = torch.arange(8)
    batch = Loader(replace(OPTIM, batch_size=8 * dist.world())).batch(ids)
    columns = {"flip": 0.0, **Photometric.columns}
    draws = torch.tensor(list(columns.values())).repeat(8, 2, 1)
    draws[..., list(columns).index("brightness")] = 0.5 + ids[:, None] / 16
    draws[..., list(columns).index("flip")] = (ids[:, None] % 3 == 0).float()
    return replace(batch, draws=draws, matrix=ids % 2)


def seen(batch: Batch) -> dict[str, Tensor]:
    """The networks' inputs of single clips, augmented."""
    part = Photometric(Photometric.Config())
    return {view: clips[:, 0] for view, clips in Inputs(built_in("rgb", "mv"), part)(batch).items()}


def shuffled_mixture() -> tuple[Tensor, dict[str, Tensor]]:
    """The global order of the samples, and this rank's inputs of the key encoders after the shuffle."""
    shuffle = Shuffle.draw(seed=3, per_rank=4)
    own = mixture().rearranged(lambda all_: [t[4 * dist.rank() : 4 * dist.rank() + 4] for t in all_])
    return shuffle.order, seen(contrast_module._shuffled(own.clip(1), shuffle))


SYNCED = replace(OPTIM, epochs=2, sync_bn=True, lr=1e-3)
TURNS = CoCLR.Config(k=3, **COMMON)
TURNED = replace(OPTIM, epochs=2)


def both_ranks(folder: Path) -> dict[str, Any]:
    """All that the tests look at, of one rank."""
    synced = contrast(optim=SYNCED)
    pretrain(folder / "synced", synced, SYNCED)
    turns = contrast(TURNS, TURNED)
    start = {name: value.clone() for name, value in turns.state_dict().items()}
    half: dict[str, Tensor] = {}

    def hook(epoch: int, micro: int) -> None:
        if (epoch, micro) == (1, 0):
            half.update({name: value.clone() for name, value in turns.state_dict().items()})

    pretrain(folder / "turns", turns, TURNED, loader=Loader(TURNED, hook))
    return {
        "shuffled": shuffled_mixture(),
        "synced": dict(synced.state_dict()),
        "start": start,
        "half": half,
        "end": dict(turns.state_dict()),
    }


def interrupted(folder: Path, task: Contrast, optim: OptimConfig, at: tuple[int, int]) -> None:
    """Train until a signal comes in the middle of the step ``at``."""
    flag = StopFlag()

    def hook(epoch: int, micro: int) -> None:
        if (epoch, micro) == at:
            flag.raise_flag(15)

    try:
        pretrain(folder, task, optim, loader=Loader(optim, hook), stop=flag)
    except Interrupted:
        return
    raise AssertionError("the signal was not heeded")
