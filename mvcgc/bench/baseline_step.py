"""The named peer of `mvcgc bench train`: a pre-training step written plainly.

The same networks, objective and augmentation as ours, from the same weights, as one writes them first:
torch's three-dimensional layers on contiguous float32 tensors, an optimiser and a momentum update that go
over the parameters one by one, copies of the queues, and the loss read at every step.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mvcgc.bench.workload import AUGMENTATION
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.batch import Batch
from mvcgc.method.base import Embeddings, Method
from mvcgc.method.mining import Ids, relate
from mvcgc.method.momentum import ContrastModel
from mvcgc.method.step_metrics import step_metrics
from mvcgc.models.backbone import Layered
from mvcgc.models.encoder import Encoder
from mvcgc.models.layers import Conv, MaxPool
from mvcgc.train import OptimConfig


class BaselineStep:
    """Takes steps on one process; ``model`` stays as it is."""

    def __init__(
        self, model: ContrastModel, method: Method, optim: OptimConfig, device: torch.device
    ) -> None:
        self._method, self._device = method, device
        self._views = model.queue.views
        self._inputs = Inputs(built_in(*self._views), AUGMENTATION)
        self._queue = copy.deepcopy(model.queue).to(device)
        self._query = nn.ModuleDict({view: _plain(model.pair(view).query) for view in self._views})
        self._key = nn.ModuleDict({view: _plain(model.pair(view).key) for view in self._views})
        self._query.to(device).train()
        self._key.to(device).train()
        self._optimizer = torch.optim.Adam(
            self._query.parameters(), lr=optim.lr, weight_decay=optim.weight_decay, foreach=False
        )

    def take(self, batch: Batch) -> float:
        """One step; returns the loss."""
        batch = batch.to(self._device)
        clips = self._inputs(batch)
        queries = {view: self._query[view](clips[view][:, 0]) for view in self._views}
        with torch.no_grad():
            keys = {view: self._key[view](clips[view][:, 1]) for view in self._views}
        ids = Ids(batch.video, batch.group, batch.label)
        relations = relate(ids, self._queue.ids)
        queue = {view: entries.clone() for view, entries in self._queue.entries().items()}
        step = Embeddings(queries, keys, queue, relations)
        terms = [self._method.term(view, step) for view in self._views]
        step_metrics(terms, relations)
        loss = torch.stack([self._method.loss(term).mean() for term in terms]).sum()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        found = loss.item()
        assert math.isfinite(found), "the loss is not finite"
        self._optimizer.step()
        momentum = self._method.config.momentum
        with torch.no_grad():
            for key, query in zip(self._key.parameters(), self._query.parameters(), strict=True):
                key.copy_(momentum * key + (1 - momentum) * query)
        self._queue.enqueue(keys, ids)
        return found


class _PlainEncoder(nn.Module):
    def __init__(self, layers: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.layers, self.head = layers, head

    def forward(self, clip: Tensor) -> Tensor:
        return functional.normalize(self.head(self.layers(clip).mean(dim=(2, 3, 4))), dim=1)


def _plain(encoder: nn.Module) -> nn.Module:
    assert isinstance(encoder, Encoder)
    twin = copy.deepcopy(encoder)
    _replace(twin)
    # The layers themselves: as a backbone, ours lay their input out for the tensor cores.
    layers = twin.backbone.layers if isinstance(twin.backbone, Layered) else twin.backbone
    return _PlainEncoder(layers, twin.head)


def _replace(module: nn.Module) -> None:
    """Put torch's own layers in the place of ours, with the same weights, contiguous."""
    for name, child in module.named_children():
        if isinstance(child, Conv):
            outputs, inputs = child.weight.shape[:2]
            conv = nn.Conv3d(inputs, outputs, child.kernel, child.stride, child.padding, bias=False)
            conv.weight = nn.Parameter(child.weight.detach().clone(memory_format=torch.contiguous_format))
            setattr(module, name, conv)
        elif isinstance(child, MaxPool):
            setattr(module, name, nn.MaxPool3d(child.kernel, child.stride, child.padding))
        else:
            _replace(child)
