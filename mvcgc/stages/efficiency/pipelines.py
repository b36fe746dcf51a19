"""Ways from a stored video to the networks' inputs: ours, and those of the literature beside it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from mvcgc.data.clips.dataset import Source, WindowDataset
from mvcgc.data.clips.modalities import Flow
from mvcgc.data.clips.modality import Modality, built, of_stored_vectors
from mvcgc.data.clips.padding import covered, fill_gaps
from mvcgc.data.clips.sampling import MotionConfig
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.index.videos import Video
from mvcgc.data.inputs import Inputs as NetworkInputs
from mvcgc.data.loading.batch import Batch, collate
from mvcgc.data.loading.loader import read
from mvcgc.stages.efficiency.spec import EfficiencySpec, Stored
from mvcgc.stages.evaluate.inference import ROWS
from mvcgc.video import Matrix, probe, reencode
from mvcgc.video.jpeg import load, store

Inputs = dict[str, Tensor]
"""float32 [rows, C, T, H, W] by view, on the CPU."""


@dataclass
class Way(ABC):
    """Video ``number`` of the manifest: `make`, `look`, then `clips`. ``scratch`` is a folder of its own."""

    spec: EfficiencySpec
    manifest: Manifest
    number: int
    scratch: Path

    @property
    def modalities(self) -> dict[str, Modality]:
        """Modalities that the networks take, by view."""
        return built(self.spec.modalities, self.spec.views)

    @property
    def video(self) -> Video:
        """The video's entry in the manifest."""
        return self.manifest.videos[self.number]

    @abstractmethod
    def make(self) -> int:
        """Store the video as this way wants it; the bytes that are kept of it."""

    @abstractmethod
    def look(self) -> None:
        """Learn what a scan of the dataset would have told, once and for all: no part of the time."""

    @abstractmethod
    def clips(self) -> Iterator[Inputs]:
        """All crops of all windows of the test, some windows at a time."""


class Compressed(Way):
    """The file as it is."""

    def make(self) -> int:
        """Nothing is made."""
        return self.video.size

    def look(self) -> None:
        """The manifest knows it."""

    def clips(self) -> Iterator[Inputs]:
        """RGB and vectors as decoded."""
        yield from _decoded(self.spec, self.manifest, self.number, self.modalities)


class Recoded(Way):
    """The file encoded again, whose own vectors are then the view ``mv_coviar``."""

    def make(self) -> int:
        """Encode it again."""
        reencode(self.manifest.root / self.video.path, self._file)
        return self._file.stat().st_size

    def look(self) -> None:
        """Probe what was made."""
        info = probe(self._file)
        video = replace(self.video, path=self._file.name, info=info)
        self._made = replace(self.manifest, root=self.scratch, videos=[video])

    def clips(self) -> Iterator[Inputs]:
        """RGB and vectors of the new file."""
        own = {view: of_stored_vectors(modality) for view, modality in self.modalities.items()}
        yield from _decoded(self.spec, self._made, 0, own)

    @property
    def _file(self) -> Path:
        return self.scratch / "recoded.avi"


class Jpeg(Way):
    """Frames and flow as pictures."""

    def make(self) -> int:
        """Decode, compute the flow, and write all pictures."""
        flow = next(modality for modality in self.modalities.values() if isinstance(modality, Flow))
        return store(self.manifest.root / self.video.path, self.video.info, self.scratch, flow.config.method)

    def look(self) -> None:
        """The names of the files say all."""

    def clips(self) -> Iterator[Inputs]:
        """Pictures read, cropped and sized."""
        dataset = _windows(self.spec, self.manifest, self.number, self.modalities)
        for key in dataset.plan(0):
            item = dataset.item(key)
            arrays = item.format.empty(item.clips)
            clip = self.spec.clip
            place = covered(clip.pad, self.video.info.frames, clip.frames)
            colour = [view for view in arrays if self.modalities[view].colour]
            planes = arrays[colour[0]][:, :, place] if colour else None
            motion = next(arrays[view][:, place] for view in arrays if self.modalities[view].moving)
            load(self.scratch, [(row[0].start, row[0].crop) for row in item.draws], planes, motion)
            for view, array in arrays.items():
                for one in array:
                    fill_gaps(self.modalities[view].time_first(one), place)
            batch = collate([item.sample(Matrix.BT601)], arrays)
            assert isinstance(batch, Batch)
            yield _inputs(batch, self.modalities)


WAYS: dict[Stored, type[Way]] = {Stored.COMPRESSED: Compressed, Stored.RECODED: Recoded, Stored.JPEG: Jpeg}


def _decoded(
    spec: EfficiencySpec, manifest: Manifest, number: int, modalities: Mapping[str, Modality]
) -> Iterator[Inputs]:
    dataset = _windows(spec, manifest, number, modalities)
    for key in dataset.plan(0):
        yield _inputs(read([dataset.item(key)]), modalities)


def _windows(
    spec: EfficiencySpec, manifest: Manifest, number: int, modalities: Mapping[str, Modality]
) -> WindowDataset:
    source = Source(
        manifest=manifest,
        ids=[number],
        modalities=modalities,
        clip=spec.clip,
        motion=spec.motion or MotionConfig(),
        mestimate=spec.dataset.mestimate,
    )
    return WindowDataset(source, spec.test.crops, spec.test.windows, ROWS)


def _inputs(batch: Batch, modalities: Mapping[str, Modality]) -> Inputs:
    return {view: clips[:, 0] for view, clips in NetworkInputs(modalities)(batch).items()}
