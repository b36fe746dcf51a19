"""From rows to a graph of stages in which what rows share appears once.

Pure but for one thing: it reads the weights that a user gives (`mvcgc.stages.given`).
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from mvcgc.data.clips.sampler import check_batch
from mvcgc.data.index.manifest import Manifest
from mvcgc.errors import UserError
from mvcgc.parts import import_folders, target_of, used_in
from mvcgc.plan.cache import ByContent
from mvcgc.plan.dataset import Dataset, Need, Needs
from mvcgc.plan.recipe import Recipe, recipes
from mvcgc.plan.row import Row, runtime_of
from mvcgc.runs.fingerprint import canonical_json, fingerprint_of_text, plain, semantic
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.experiment import Experiment
from mvcgc.stages.given import given_weights
from mvcgc.stages.kind import Cost, StageKind
from mvcgc.stages.pretrain.kind import Cross
from mvcgc.stages.spec import Runtime, StageConfig
from mvcgc.train.optim import OptimConfig, ScheduleKind


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """One unit of work. ``parents`` by role; ``runtime`` is that of the first row that needs it."""

    name: str
    fingerprint: str
    dataset: Dataset
    parents: dict[str, "Stage"]
    runtime: Runtime
    cost: Cost
    recipe: Recipe
    experiment: Experiment

    @property
    def id(self) -> str:
        """``<name>-<fingerprint>``: the stage's folder relative to ``<root>/stages``, unique in a graph."""
        return f"{self.name}-{self.fingerprint}"

    @property
    def kind(self) -> str:
        """The name of its kind: init, cross, or a task."""
        return self.recipe.kind

    @property
    def program(self) -> type[StageKind]:
        """The class of its kind."""
        return type(self.recipe.kind_of(self.experiment))

    @property
    def code_version(self) -> int:
        """The version of that class."""
        return self.program.version

    @property
    def parts(self) -> dict[str, Any]:
        """Return what the stage is told, by the fields of its specification."""
        return self.recipe.parts(self.experiment, self.recipe.kind_of(self.experiment))

    @property
    def spec(self) -> Any:
        """Return what the stage is told: the specification of its kind."""
        return self.program.Spec(**self.parts)

    @property
    def cores(self) -> int:
        """Cores for all its ranks."""
        return self.runtime.ranks * self.runtime.cpus

    def folder(self, root: Path) -> StageFolder:
        """Return where it lives under the root of all runs."""
        return StageFolder.of(root, self.name, self.fingerprint)

    def config(self, root: Path) -> StageConfig:
        """The ``config.yaml`` of a run under ``root``; the dataset must have been scanned."""
        root, spec = root.absolute(), self.spec
        parts = dict.fromkeys([self.program, *used_in(spec)])
        own = dict.fromkeys(folder for part in parts for folder in import_folders(part))
        return StageConfig(
            name=self.name,
            kind=self.kind,
            program=target_of(self.program),
            fingerprint=self.fingerprint,
            code_version=self.code_version,
            spec=plain(spec),
            dataset_digest=self.dataset.digest,
            parents={view: str(parent.folder(root).path) for view, parent in self.parents.items()},
            runtime=dataclasses.replace(
                self.runtime,
                manifest=str(self.dataset.manifest_path(root)),
                import_from=list(own),
                weights=self._weights(spec),
            ),
        )

    def _weights(self, spec: Any) -> dict[str, str]:
        """By view, the files that the stage reads in place of a parent's encoder."""
        given = {view: given_weights(self.experiment, view) for view in getattr(spec, "weights", {})}
        return {view: str(one.path) for view, one in given.items() if one is not None}


@dataclass(frozen=True)
class PlannedRow:
    """A row and its stages by name."""

    row: Row
    stages: dict[str, Stage]


@dataclass(frozen=True)
class Graph:
    """Stages by id, parents before children; rows; and what the user should know."""

    stages: dict[str, Stage]
    rows: list[PlannedRow]
    notes: list[str]

    @cached_property
    def children(self) -> dict[str, list[Stage]]:
        """By the id of a stage: the stages that wait for it."""
        children: dict[str, list[Stage]] = {key: [] for key in self.stages}
        for stage in self.stages.values():
            for parent in {parent.id for parent in stage.parents.values()}:
                children[parent].append(stage)
        return children

    @cached_property
    def users(self) -> dict[str, list[Row]]:
        """By the id of a stage: the rows that need it."""
        users: dict[str, list[Row]] = {key: [] for key in self.stages}
        for planned in self.rows:
            for stage in planned.stages.values():
                users[stage.id].append(planned.row)
        return users


def build(rows: Sequence[Row], manifests: Mapping[Need, Manifest | None]) -> Graph:
    """The graph of all the stages that ``rows`` need.

    ``manifests`` has an entry for each of `dataset_needs`; None stands for a dataset that is not scanned yet,
    whose graph can be shown but not run. Raises UserError where a row cannot run.
    """
    builder = _Builder(manifests)
    planned = [builder.row(row) for row in rows]
    return Graph(builder.stages, planned, list(builder.notes))


class _Builder:
    def __init__(self, manifests: Mapping[Need, Manifest | None]) -> None:
        self._manifests = manifests
        self._needs = Needs()
        self._datasets: dict[Need, Dataset] = {}
        # By the type of a specification: its fields, with what turns their values to canonical text.
        self._parts: dict[type, list[tuple[str, ByContent[str]]]] = {}
        # The canonical text of a specification, by the identities of the recipe and of its parts; the parts
        # themselves stand beside it, so that an identity stays one object's.
        self._texts: dict[tuple[int, ...], tuple[str, list[Any]]] = {}
        # The same for stages, by recipe, text, dataset and parents: ten rows have one initialisation.
        self._known: dict[tuple[int, ...], Stage] = {}
        self.stages: dict[str, Stage] = {}
        self.notes: dict[str, None] = {}

    def row(self, row: Row) -> PlannedRow:
        """Add the stages of a row, or find them."""
        experiment = row.experiment
        pretrained_on = self._dataset(experiment, experiment.dataset)
        evaluated_on = [self._dataset(experiment, config) for config in experiment.evaluated_datasets]
        for dataset in evaluated_on:
            if not dataset.labelled:
                self.notes[f"{dataset.name} has no classes: nothing is evaluated on it"] = None
        stages: dict[str, Stage] = {}
        for recipe in recipes(experiment, tuple(dataset.labelled for dataset in evaluated_on)):
            kind = recipe.kind_of(experiment)
            parents = {role: stages[name] for role, name in recipe.parents(experiment, kind)}
            dataset = pretrained_on if recipe.dataset < 0 else evaluated_on[recipe.dataset]
            stages[recipe.name] = self._stage(row, recipe, kind, dataset, parents)
        if not stages:
            method = experiment.method.part.label
            raise UserError(
                f"method={method}: row {row.name!r} has no stage: nothing is trained, and nothing evaluated; "
                "set downstream.tasks, and take a dataset with classes"
            )
        return PlannedRow(row, stages)

    def _stage(
        self, row: Row, recipe: Recipe, kind: StageKind, dataset: Dataset, parents: dict[str, Stage]
    ) -> Stage:
        experiment = row.experiment
        text = self._text(recipe, kind, experiment)
        known = (id(recipe), id(text), id(dataset), *map(id, parents.values()))
        if known in self._known:
            return self._known[known]
        print_ = fingerprint_of_text(
            recipe.name,
            kind.version,
            text,
            dataset.digest,
            [parents[view].fingerprint for view in sorted(parents)],
        )
        key = f"{recipe.name}-{print_}"
        if key not in self.stages:
            clips = dataset.pretrain_videos if kind.pretrains else dataset.fit_videos
            stage = Stage(
                name=recipe.name,
                fingerprint=print_,
                dataset=dataset,
                parents=parents,
                runtime=runtime_of(row.resources, recipe.kind),
                cost=recipe.cost(experiment, kind, clips),
                recipe=recipe,
                experiment=experiment,
            )
            with _named(recipe.key):
                _check(stage, kind.optim_of(experiment))
            self.stages[key] = stage
        self._known[known] = self.stages[key]
        return self.stages[key]

    def _dataset(self, experiment: Experiment, config: Any) -> Dataset:
        need = self._needs.of(experiment, config)
        if need not in self._datasets:
            self._datasets[need] = Dataset.of(need, self._manifests[need])
            if self._datasets[need].manifest is None:
                self.notes[f"{config.name} is not scanned: its costs are estimates, nothing is cached"] = None
        return self._datasets[need]

    def _text(self, recipe: Recipe, kind: StageKind, experiment: Experiment) -> str:
        parts = recipe.parts(experiment, kind)
        key = (id(recipe), *map(id, parts.values()))
        if key not in self._texts:
            with _named(recipe.key):
                self._texts[key] = self._spec_json(kind.Spec(**parts)), list(parts.values())
        return self._texts[key][0]

    def _spec_json(self, spec: Any) -> str:
        """``canonical_json(semantic(plain(spec)))``, put together from its parts: rows share most of them."""
        parts = self._parts.get(type(spec))
        if parts is None:
            names = sorted(field.name for field in dataclasses.fields(spec))
            parts = self._parts[type(spec)] = [(name, ByContent(partial(_part_json, name))) for name in names]
        texts = [text for name, part_json in parts if (text := part_json(getattr(spec, name)))]
        return f"{{{','.join(texts)}}}"


def _part_json(name: str, part: Any) -> str:
    """A field of a specification as canonical JSON, ``"name":value``; '' if it is excluded as a whole."""
    return canonical_json(semantic({name: plain(part)}))[1:-1]


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Have a UserError name the user's key of what a stage knows as its ``optim``."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("optim.", f"{key}.")) from error


def _check(stage: Stage, optim: OptimConfig | None) -> None:
    """Raise UserError for what would fail only once the stage runs."""
    method = stage.experiment.method.part
    if stage.kind == Cross.label and method.supervised and not stage.dataset.labelled:
        raise UserError(f"method={method.label}: it learns from labels and {stage.dataset.name} has none")
    if optim is not None:
        optim.micro_batch(stage.runtime.ranks)
    if stage.program.one_rank and stage.runtime.ranks > 1:
        raise UserError(f"resources.{stage.kind}.ranks={stage.runtime.ranks}: it runs on one rank, use 1")
    dataset = stage.dataset
    if dataset.manifest is None:
        return
    if stage.cost.clips == 0:
        dataset.manifest.require([], "training")
    if not stage.program.pretrains and dataset.test_videos == 0:
        dataset.manifest.require([], "test")
    if optim is not None:
        check_batch(optim.batch_size, stage.cost.clips, "optim.batch_size")
        # Each rank takes part in the validation.
        if optim.schedule is ScheduleKind.plateau and dataset.val_videos < stage.runtime.ranks:
            raise UserError(
                f"optim.schedule=plateau: {dataset.name} has {dataset.val_videos} validation videos for "
                f"{stage.runtime.ranks} ranks; use cosine or constant"
            )
