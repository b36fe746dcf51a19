"""The data package's loader in the form that the training loop wants."""

from collections.abc import Iterator

from mvcgc.data.clips.sampler import EpochSampler
from mvcgc.data.loading.batch import Batch
from mvcgc.data.loading.loader import Loader


class Epochs:
    """A loader of random clips whose iteration starts where it is told to."""

    def __init__(self, loader: Loader) -> None:
        assert isinstance(loader.sampler, EpochSampler), "tests have no epochs"
        self._loader, self._sampler = loader, loader.sampler

    def __len__(self) -> int:
        """Micro-batches per epoch."""
        return len(self._loader)

    def epoch(self, epoch: int, step: int) -> Iterator[Batch]:
        """The rest of ``epoch`` after ``step`` steps of the optimiser."""
        self._sampler.set_position(epoch, step)
        return iter(self._loader)
