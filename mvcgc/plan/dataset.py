"""What a plan needs to know of the datasets, scanned or not yet."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mvcgc.data.clips.modality import needs_vectors
from mvcgc.data.index.layouts.base import DatasetConfig
from mvcgc.data.index.manifest import Manifest, manifest_file
from mvcgc.data.index.prepare import expected_videos
from mvcgc.plan.cache import ByContent
from mvcgc.plan.row import Row
from mvcgc.runs.fingerprint import canonical_json
from mvcgc.stages.experiment import Experiment

UNSCANNED = "unscanned"


@dataclass(frozen=True)
class Need:
    """A manifest that rows ask for: `mvcgc.data.index.prepare.prepare` takes these. Equal ones are one."""

    config: DatasetConfig = field(compare=False)
    min_frames: int
    needs_vectors: bool
    identity: str

    @property
    def planned_videos(self) -> int:
        """How many videos there will be to train on, as far as that is known without a scan; else 0."""
        return expected_videos(self.config)


class Needs:
    """The needs of experiments."""

    def __init__(self) -> None:
        self._identity = ByContent(canonical_json)

    def of(self, experiment: Experiment, config: DatasetConfig) -> Need:
        """Return what ``experiment`` needs of one of its datasets.

        All its stages see the same videos: those that are fit for all its views.
        """
        vectors = needs_vectors(experiment.modalities, experiment.views)
        clip = experiment.clip
        least = clip.pad.least(clip.frames, config.min_frames)
        return Need(config, least, vectors, self._identity(config))


def dataset_needs(rows: Iterable[Row]) -> list[Need]:
    """The distinct manifests that the rows ask for, in the order of their first appearance."""
    needs = Needs()
    found: dict[Need, None] = {}
    for row in rows:
        experiment = row.experiment
        for config in (experiment.dataset, *experiment.evaluated_datasets):
            found.setdefault(needs.of(experiment, config))
    return list(found)


@dataclass(frozen=True)
class Dataset:
    """A dataset as stages see it.

    ``pretrain_videos`` are there to pre-train on, ``fit_videos`` to fit classifiers on, ``val_videos`` for
    the learning rate's plateau, ``test_videos`` to test on. ``manifest`` is None before the scan; the numbers
    are estimates then.
    """

    need: Need
    manifest: Manifest | None
    digest: str
    pretrain_videos: int
    fit_videos: int
    val_videos: int
    test_videos: int
    labelled: bool

    @classmethod
    def of(cls, need: Need, manifest: Manifest | None) -> "Dataset":
        """Return what there is to know."""
        if manifest is None:
            # Whether a folder has classes shows in its scan; until then its evaluations are shown.
            videos = need.planned_videos
            return cls(need, None, UNSCANNED, videos, videos, videos, videos, labelled=True)
        return cls(
            need,
            manifest,
            manifest.digest,
            pretrain_videos=len(manifest.training()),
            fit_videos=len(manifest.ids("train")),
            val_videos=len(manifest.ids("val")),
            test_videos=len(manifest.ids("test")),
            labelled=bool(manifest.classes),
        )

    @property
    def name(self) -> str:
        """Its label."""
        return self.need.config.name

    def manifest_path(self, root: Path) -> Path:
        """Return where its manifest is published under the root of all runs."""
        assert self.manifest is not None, f"{self.name} has not been scanned"
        return manifest_file(manifests_folder(root), self.manifest)


def manifests_folder(root: Path) -> Path:
    """Return where manifests are published under the root of all runs: the ``store`` of `prepare`."""
    return root / "manifests"
