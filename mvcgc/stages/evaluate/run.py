"""Downstream evaluation: how good the parents' encoders are, and their two views together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from mvcgc.metrics import recall_at, retrieval_ranks
from mvcgc.models.backbone import backbone_params
from mvcgc.parts import scalars
from mvcgc.stages.context import Result, StageContext
from mvcgc.stages.evaluate.classify import BOTH
from mvcgc.stages.evaluate.course import Course
from mvcgc.stages.evaluate.inference import collect, forget
from mvcgc.stages.evaluate.kinds import Protocol, Retrieve
from mvcgc.stages.evaluate.output import save_arrays
from mvcgc.stages.evaluate.setup import Bench, embed
from mvcgc.stages.evaluate.spec import EvaluateSpec

FEATURES = Path("features.npz")
RANKS = Path("ranks.npz")
PASS = "all"
RECALLS = (1, 5, 10, 20, 50)


def evaluate(context: StageContext, spec: EvaluateSpec, task: Callable[[Bench], Result]) -> Result:
    """Evaluate on the test part, and leave what was found of every video and the headline metrics, in
    percent.

    Metrics end in the view that they are of, or in ``both`` for the two together. Those that start with
    ``val_`` are of the validation part, for choosing settings by. ``test_videos`` says how many were tested,
    ``test_padded`` how many of them are shorter than a clip, ``test_missing`` how many were refused. Raises
    UserError for a dataset without classes, training or test videos.
    """
    bench = Bench(context, spec, context.manifest())
    completeness = bench.completeness()
    context.journal.params({**_params(spec), **completeness})
    result = task(bench)
    return replace(result, metrics={**result.metrics, **completeness})


def _params(spec: EvaluateSpec) -> dict[str, str | int | float | bool | None]:
    """Return what names the run in a table of runs."""
    return {
        **backbone_params(spec.backbone),
        "task": spec.task.part.label,
        "dataset": spec.dataset.name,
        "views": "+".join(spec.views),
        "frames": spec.clip.frames,
        "size": spec.clip.size,
        "mv_cell": spec.motion.cell if spec.motion else None,
        "mv_size": spec.motion.size if spec.motion else None,
        "crops": spec.test.crops,
        "windows": spec.test.windows,
        "amp": spec.amp.value,
        **scalars(spec.task),
        "seed": spec.seed,
    }


@dataclass(frozen=True)
class Features:
    """Pooled features of videos, on the CPU, the same on all ranks.

    Attributes:
        ids: the videos' numbers in the manifest, ascending.
        by_view: [V, D] by view.
    """

    ids: list[int]
    by_view: dict[str, Float[Tensor, "V D"]]

    def of(self, ids: Sequence[int], centred: bool = False) -> dict[str, Float[Tensor, "N D"]]:
        """Return the features of some videos, in their order, by view and, of two views, for ``both``.

        ``centred`` subtracts their mean.
        """
        place = {number: row for row, number in enumerate(self.ids)}
        rows = torch.tensor([place[number] for number in ids])
        found = {view: values[rows] for view, values in self.by_view.items()}
        if centred:
            found = {view: values - values.mean(dim=0) for view, values in found.items()}
        return together(found)


def features(bench: Bench, crops: int | None = None, *, normalised: bool = False) -> Features:
    """Show all videos to the encoders, as they are tested or with other ``crops``; return their features.

    They are averages over a video's crops and windows, ``normalised`` before.
    What is computed is saved as it goes, so that another attempt does only the rest. It starts the journal,
    so a task calls it once; `finish` ends both.
    """
    gallery = bench.manifest.require(bench.manifest.training(), "training")
    ids = sorted({*gallery, *bench.val, *bench.test})
    journal = Course(bench.context.journal, {PASS: len(ids)}).part(PASS)
    compute = embed(bench.backbones(), normalised=normalised)
    found = collect(bench.context, journal, bench.whole(PASS, ids, crops), compute)
    return Features(ids, found)


def finish(bench: Bench, found: Features, metrics: Mapping[str, float], outputs: Sequence[Path]) -> Result:
    """Report a task's metrics, and delete what `features` saved on the way."""
    bench.context.journal.metrics(len(found.ids), metrics)
    forget(bench.context, bench.whole(PASS, found.ids))
    return Result(list(outputs), dict(metrics))


def retrieve(bench: Bench) -> Result:
    """Search the training videos for those nearest to each test video, and count those of its class.

    Validation videos search what is left of the training videos without them.
    """
    assert isinstance(bench.spec.task, Retrieve.Config)
    published = bench.spec.task.protocol is Protocol.coclr
    found = features(bench, crops=1 if published else None, normalised=published)

    def ranks(queries: list[int], among: list[int]) -> dict[str, Tensor]:
        asked, known = found.of(queries, centred=published), found.of(among, centred=published)
        labels = bench.labels(queries), bench.labels(among)
        return {
            name: retrieval_ranks(asked[name], labels[0], known[name], labels[1], max(RECALLS))
            for name in asked
        }

    tested = ranks(bench.test, bench.manifest.training())
    metrics = recalls(tested)
    if bench.val:
        metrics |= recalls(ranks(bench.val, bench.train), "val_")
    if bench.context.dist.is_main:
        folder = bench.context.folder.path
        save_arrays(folder / FEATURES, bench.names(found.ids), bench.labels(found.ids), found.by_view)
        save_arrays(folder / RANKS, bench.names(bench.test), bench.labels(bench.test), tested)
    return finish(bench, found, metrics, [FEATURES, RANKS])


def recalls(ranks: Mapping[str, Tensor], prefix: str = "") -> dict[str, float]:
    """``r<k>_<name>``, in per cent."""
    return {f"{prefix}r{k}_{name}": recall_at(found, k) for name, found in ranks.items() for k in RECALLS}


def together(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The features of each view and, of two, both in a row under the name ``both``, each of length 1."""
    joined = dict(features)
    if len(joined) > 1:
        joined[BOTH] = torch.cat([functional.normalize(part, dim=1) for part in features.values()], dim=1)
    return joined
