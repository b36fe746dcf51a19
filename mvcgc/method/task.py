"""Contrastive pre-training as a task of the training loop: from a batch to the loss, and to the queue."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random

import torch
from torch import Tensor

from mvcgc import dist
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.batch import Batch
from mvcgc.method.base import Embeddings, Method
from mvcgc.method.mining import Ids, relate
from mvcgc.method.momentum import ContrastModel
from mvcgc.method.nce import multi_nce
from mvcgc.method.shuffle import Shuffle
from mvcgc.method.step_metrics import step_metrics
from mvcgc.phases import phase
from mvcgc.train import Task, Validated
from mvcgc.train.arrival import Arrival

CHANCES = 2
"""An accuracy counts as above chance from this many times chance on."""


class Contrast(Task):
    """``ContrastModel`` and the objective of ``method``, for one view or for two.

    All micro-batches of a step see the same queue and the same key encoders: keys are enqueued, in the
    order of the global batch, and the twins moved after the optimiser's step. Without batch norm a step is
    therefore the same however it is cut.
    """

    def __init__(self, model: ContrastModel, method: Method, epochs: int, inputs: Inputs) -> None:
        super().__init__()
        self.model = model
        self.leaves_parameters_out = method.leaves_parameters_out
        self._method, self._epochs, self._inputs = method, epochs, inputs
        self._views = model.queue.views
        turns = [self._turn(epoch) for epoch in range(epochs)]
        self.turns = [0, *(epoch for epoch in range(1, epochs) if turns[epoch] != turns[epoch - 1])]
        self._trained: tuple[str, ...] = self._views
        self._pending: list[tuple[dict[str, Tensor], Ids]] = []
        self._epoch, self._step = 0, 0

    def start_epoch(self, epoch: int, position: int) -> None:
        """Which views learn; where coclr changes turns, the twins catch up and the queue starts anew."""
        self._epoch, self._step = epoch, position
        self._trained = self._turn(epoch)
        if position == 0 and epoch > 0 and epoch in self.turns:
            self.model.start_turn()

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss: the trained views' terms, summed. Figures: acc_<view>, mined, mined_precision, queue_fill."""
        shuffle = Shuffle.draw(self._shuffle_seed(), len(batch))
        learning: Sequence[str] = self._trained if self.training else ()
        queries = self.model(self._seen(batch.clip(0)), learning)
        keys = self.model.keys(self._seen(_shuffled(batch.clip(1), shuffle)), learning)
        ids = Ids(batch.video, batch.group, batch.label)
        with phase("gather"):
            everyones, all_ids = _gathered(keys, ids, shuffle)
        if self.training:
            self._pending.append((everyones, all_ids))
        own = slice(dist.rank() * len(batch), (dist.rank() + 1) * len(batch))
        keys = {view: key[own] for view, key in everyones.items()}
        relations = relate(ids, self.model.queue.ids)
        chance = Random(self._shuffle_seed()).random()
        step = Embeddings(queries, keys, self.model.queue.entries(), relations, chance)
        terms = [self._method.term(view, step) for view in self._trained]
        figures = step_metrics(terms, relations)
        right, labelled = figures.pop("mined_right"), figures.pop("mined_labelled")
        figures["mined_precision"] = torch.stack([right, labelled])
        figures["queue_fill"] = relations.filled.float().mean()
        loss = torch.stack([self._method.loss(term).mean() for term in terms]).sum()
        if self._method.waits_for_queue:
            # No gradient until the queue is full: the loop leaves out such a step.
            loss = torch.where(relations.filled.all(), loss, loss.detach())
        return loss, figures

    def validate(self, batches: Iterable[Batch], device: torch.device) -> Validated:
        """Find each validation clip's other clip among those of all validation videos.

        An instance task of its own: queries and keys come from the same encoders in the same mode, which
        those of the queue, made in training mode over many steps, do not. Keys of the same source take no
        part. An epoch counts once the queue is full and an own pair is found twice as often as by chance.
        All ranks call it and get the same: ``val_loss``, summed over the trained views, ``val_acc_<view>``
        and ``val_chance``.
        """
        first, second, ids = self._embedded(batches, device)
        relations = relate(ids, ids)
        own = torch.eye(len(ids.video), dtype=torch.bool, device=device)
        candidates = own | relations.eligible
        metrics, losses = {}, []
        for view in self._trained:
            keys = second[self._method.target(view, self._views)]
            logits = first[view] @ keys.T / self._method.config.tau
            losses.append(multi_nce(logits, own, candidates).mean())
            found = logits.masked_fill(~candidates, -torch.inf).argmax(dim=1)
            right = found == torch.arange(len(own), device=device)
            metrics[f"val_acc_{view}"] = right.float().mean()
        metrics["val_loss"] = torch.stack(losses).sum()
        here = Arrival({**metrics, "full": self.model.queue.full.float()}).values()
        told = {name: here[name].item() for name in metrics}
        chance = 1 / len(own)
        learnt = all(told[f"val_acc_{view}"] >= CHANCES * chance for view in self._trained)
        return Validated({**told, "val_chance": chance}, counts=learnt and bool(here["full"] > 0))

    def _embedded(
        self, batches: Iterable[Batch], device: torch.device
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Ids]:
        """Both clips of all ranks' samples by view, from the query encoders, and the samples' ids."""
        clips: list[list[Tensor]] = []
        for batch in batches:
            here = batch.to(device)
            shown = [self.model(self._seen(here.clip(number)), ()) for number in (0, 1)]
            row = [one[view].float() for one in shown for view in self._views]
            clips.append([*row, here.video, here.group, here.label])
        own = [torch.cat(column) for column in zip(*clips, strict=True)]
        *every, video, group, label = dist.all_gather_rows(*own)
        count = len(self._views)
        first = dict(zip(self._views, every[:count], strict=True))
        second = dict(zip(self._views, every[count:], strict=True))
        return first, second, Ids(video, group, label)

    def finish_step(self) -> None:
        """The key encoders follow, and the step's keys of all ranks enter the queue."""
        self.model.update_keys(self._trained)
        for keys, ids in self._pending:
            self.model.queue.enqueue(keys, ids)
        self._pending = []
        self._step += 1

    def _shuffle_seed(self) -> int:
        """Another one for each micro-batch, the same on all ranks, and the same again in a resumed run."""
        return ((self._epoch << 24) + self._step << 12) + len(self._pending)

    def _seen(self, batch: Batch) -> dict[str, Tensor]:
        """Return what the encoders see of a batch of single clips, [B, C, T, H, W] by view."""
        with phase("augmentation"), torch.no_grad(), torch.autocast(batch.video.device.type, enabled=False):
            return {view: clips[:, 0] for view, clips in self._inputs(batch).items()}

    def _turn(self, epoch: int) -> tuple[str, ...]:
        return self._method.trained(self._views, epoch, self._epochs)


def _shuffled(batch: Batch, shuffle: Shuffle) -> Batch:
    """The samples that this rank's key encoders see, with all that belongs to them.

    They travel as stored: what augmentation makes of them is four times as large.
    """
    if shuffle.world == 1:
        return batch
    with phase("shuffle"):
        return batch.rearranged(shuffle.apply_to_all)


def _gathered(keys: Mapping[str, Tensor], ids: Ids, shuffle: Shuffle) -> tuple[dict[str, Tensor], Ids]:
    """The keys of all ranks' shuffled samples and the ids of all their own, in the global batch's order."""
    *every, video, group, label = dist.all_gather_rows(*keys.values(), ids.video, ids.group, ids.label)
    ordered = {view: shuffle.restore(key) for view, key in zip(keys, every, strict=True)}
    return ordered, Ids(video, group, label)
