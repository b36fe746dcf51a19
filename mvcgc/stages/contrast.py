"""Contrastive pre-training as a task of the training loop: from a batch to the loss, and to the queue."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mvcgc import dist
from mvcgc.data.augment import augment
from mvcgc.data.batch import Batch
from mvcgc.models.contrast import ContrastModel
from mvcgc.models.objective import objective, step_metrics
from mvcgc.positives import Ids, MethodConfig, Variant, relate, trained_views
from mvcgc.train import Task


class Contrast(Task):
    """``ContrastModel`` and the objective of ``method``, for one view or for two.

    All micro-batches of a step see the same queue and the same key encoders: keys are enqueued, in the
    order of the global batch, and the twins moved after the optimiser's step. Without batch norm a step is
    therefore the same however it is cut.
    """

    def __init__(self, model: ContrastModel, method: MethodConfig, epochs: int) -> None:
        super().__init__()
        self.model = model
        self.leaves_parameters_out = method.variant is Variant.coclr
        self._method, self._epochs = method, epochs
        self._views = model.queue.views
        self._trained: tuple[str, ...] = self._views
        self._pending: list[tuple[dict[str, Tensor], Ids]] = []
        self._epoch, self._step = 0, 0

    def start_epoch(self, epoch: int, position: int) -> None:
        """Which views learn; where coclr changes turns, the twins catch up and the queue starts anew."""
        self._epoch, self._step = epoch, position
        self._trained = self._turn(epoch)
        if position == 0 and epoch > 0 and self._trained != self._turn(epoch - 1):
            self.model.start_turn()

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss: the trained views' terms, summed. Figures: acc_<view>, mined, mined_precision, queue_fill."""
        with torch.no_grad(), torch.autocast(batch.video.device.type, enabled=False):
            clips = augment(batch)
        learning: Sequence[str] = self._trained if self.training else ()
        queries = self.model({view: clip[:, 0] for view, clip in clips.items()}, learning)
        keys = self.model.keys(
            {view: clip[:, 1] for view, clip in clips.items()}, learning, self._shuffle_seed()
        )
        ids = Ids(batch.video, batch.group, batch.label)
        if self.training:
            self._pending.append((keys, ids))
        relations = relate(ids, self.model.queue.ids)
        terms = objective(
            self._method,
            trained=self._trained,
            queries=queries,
            keys=keys,
            queue=self.model.queue.snapshot(),
            relations=relations,
        )
        figures = step_metrics(terms, relations)
        right, labelled = figures.pop("mined_right"), figures.pop("mined_labelled")
        figures["mined_precision"] = torch.stack([right, labelled])
        figures["queue_fill"] = relations.filled.float().mean()
        return torch.stack([term.loss() for term in terms]).sum(), figures

    def finish_step(self) -> None:
        """The key encoders follow, and the step's keys of all ranks enter the queue."""
        self.model.update_keys(self._trained)
        for keys, ids in self._pending:
            everyone = Ids(*(dist.all_gather_cat(part) for part in (ids.video, ids.group, ids.label)))
            self.model.queue.enqueue({view: dist.all_gather_cat(key) for view, key in keys.items()}, everyone)
        self._pending = []
        self._step += 1

    def _shuffle_seed(self) -> int:
        """Another one for each micro-batch, the same on all ranks, and the same again in a resumed run."""
        return ((self._epoch << 24) + self._step << 12) + len(self._pending)

    def _turn(self, epoch: int) -> tuple[str, ...]:
        return trained_views(self._method, self._views, epoch, self._epochs)
