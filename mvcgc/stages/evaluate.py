"""Downstream evaluation: how good the parents' encoders are, and their two views together."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from mvcgc.metrics import recall_at, retrieval_ranks
from mvcgc.stages.context import Result, StageContext
from mvcgc.stages.evaluate_bench import Bench, embed
from mvcgc.stages.evaluate_classify import BOTH, finetune, linear
from mvcgc.stages.evaluate_course import Course
from mvcgc.stages.evaluate_output import save_arrays
from mvcgc.stages.evaluate_passes import collect, forget
from mvcgc.stages.spec import Downstream, EvaluateSpec

FEATURES = Path("features.npz")
RANKS = Path("ranks.npz")
RECALLS = (1, 5, 10, 20, 50)


def run(context: StageContext, spec: EvaluateSpec) -> Result:
    """Evaluate on the test part, and leave what was found of every video and the headline metrics, in per
    cent.

    Metrics end in the view that they are of, or in ``both`` for the two together. Those that start with
    ``val_`` are of the validation part, for choosing settings by. Raises UserError for a dataset without
    classes, training or test videos.
    """
    bench = Bench(context, spec, context.manifest())
    context.journal.params(_params(spec))
    tasks = {Downstream.linear: linear, Downstream.finetune: finetune, Downstream.retrieve: retrieve}
    return tasks[spec.task](bench)


def _params(spec: EvaluateSpec) -> dict[str, str | int | float | bool | None]:
    """What names the run in a table of runs."""
    optim = spec.optim
    return {
        "task": spec.task.value,
        "dataset": spec.dataset.name,
        "views": "+".join(spec.views),
        "arch": spec.backbone.arch.value,
        "width": spec.backbone.width,
        "frames": spec.clip.frames,
        "size": spec.clip.size,
        "mv_cell": spec.motion.cell if spec.motion else None,
        "mv_size": spec.motion.size if spec.motion else None,
        "crops": spec.test.crops,
        "windows": spec.test.windows,
        "amp": spec.amp.value,
        "draws": spec.draws,
        "dropout": spec.dropout,
        "epochs": optim.epochs if optim else None,
        "batch_size": optim.batch_size if optim else None,
        "lr": optim.lr if optim else None,
        "seed": spec.seed,
    }


def retrieve(bench: Bench) -> Result:
    """Search the training videos for those nearest to each test video, and count those of its class.

    Validation videos search what is left of the training videos without them.
    """
    context, manifest = bench.context, bench.manifest
    gallery, train = manifest.require(manifest.training(), "training"), bench.train
    ids = sorted({*gallery, *bench.val, *bench.test})
    one = bench.whole("all", ids)
    course = Course(context.journal, {"all": len(ids)})
    features = together(collect(context, course.part("all"), one, embed(bench.backbones())))
    place = {number: row for row, number in enumerate(ids)}

    def ranks(queries: list[int], among: list[int]) -> dict[str, Tensor]:
        rows = [torch.tensor([place[number] for number in part]) for part in (queries, among)]
        labels = bench.labels(queries), bench.labels(among)
        return {
            name: retrieval_ranks(feature[rows[0]], labels[0], feature[rows[1]], labels[1], max(RECALLS))
            for name, feature in features.items()
        }

    tested = ranks(bench.test, gallery)
    metrics = recalls(tested)
    if bench.val:
        metrics |= recalls(ranks(bench.val, train), "val_")
    course.finish(metrics)
    if context.dist.is_main:
        folder = context.folder.path
        save_arrays(folder / FEATURES, bench.names(ids), bench.labels(ids), features)
        save_arrays(folder / RANKS, bench.names(bench.test), bench.labels(bench.test), tested)
    forget(context, one)
    return Result([FEATURES, RANKS], metrics)


def recalls(ranks: Mapping[str, Tensor], prefix: str = "") -> dict[str, float]:
    """``r<k>_<name>``, in per cent."""
    return {f"{prefix}r{k}_{name}": recall_at(found, k) for name, found in ranks.items() for k in RECALLS}


def together(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The features of each view and, of two, both in a row under the name ``both``, each of length 1."""
    joined = dict(features)
    if len(joined) > 1:
        joined[BOTH] = torch.cat([functional.normalize(part, dim=1) for part in features.values()], dim=1)
    return joined
