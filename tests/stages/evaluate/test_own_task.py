"""A task and a metric of the user's own, run as stages on real, tiny files."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import evaluate_factories as standin
import numpy as np
import pytest
from evaluate_factories import LINEAR, SPEC, evaluated
from own_project import OwnProject, own_project
from plan_factories import make_experiment

from mvcgc.data.index.manifest import Manifest, publish
from mvcgc.method.init_only import InitOnly
from mvcgc.plan import Graph, Row, build, dataset_needs, manifests_folder
from mvcgc.runs import journal
from mvcgc.stages.evaluate.spec import TestConfig


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, its manifest and encoders."""
    folder = tmp_path_factory.mktemp("lab")
    standin.make_encoders(folder / "encoders")
    publish(standin.make_dataset(folder), folder / "manifests")
    return folder


@pytest.fixture(scope="module")
def manifest(lab: Path) -> Manifest:
    return standin.make_manifest_of(lab)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnProject]:
    with own_project(tmp_path / "project", monkeypatch) as made:
        yield made


def planned(project: OwnProject, manifest: Manifest) -> Graph:
    """The graph of ``knn`` on initialised encoders."""
    experiment = make_experiment(
        backbone=standin.BACKBONE,
        method=InitOnly.Config(queue=2),
        init__batch_size=2,
        downstream__test=TestConfig(1, 1),
        downstream__kinds={"knn": project.load("Knn").Config()},
        downstream__tasks=["knn"],
    )
    row = Row("row", experiment, {})
    return build([row], dict.fromkeys(dataset_needs([row]), manifest))


def test_its_stage_runs_from_any_folder(
    project: OwnProject, lab: Path, manifest: Manifest, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    publish(manifest, manifests_folder(root))
    stages = planned(project, manifest).rows[0].stages
    for view in ("rgb", "mv"):
        folder = stages[f"init/{view}"].folder(root)
        folder.path.mkdir(parents=True)
        name = f"encoder_{view}.pt"
        (folder.path / name).write_bytes((lab / "encoders" / name).read_bytes())
        stages[f"init/{view}"].config(root).write(folder)
        folder.write_done([Path(name)], {})
    folder = stages["knn/tiny"].folder(root)
    stages["knn/tiny"].config(root).write(folder)
    done = subprocess.run(
        [sys.executable, "-m", "mvcgc.stages", str(folder.path)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # With one vote, it is what a retrieval calls R@1.
    spec = replace(SPEC, test=TestConfig(1, 1), seed=0)
    expected = evaluated(tmp_path / "retrieve", manifest, lab / "encoders", spec).metrics
    found = folder.read_done()
    assert found is not None
    votes = {name: value for name, value in found.metrics.items() if name.startswith("knn_")}
    assert votes == {f"knn_{view}": expected[f"r1_{view}"] for view in ("rgb", "mv", "both")}
    folded = journal.read(folder.journal)
    assert {
        "task": "knn",
        "k": 1,
        "share": 0.5,
        "dataset": "tiny",
        "seed": 0,
    }.items() <= folded.params.items()
    assert folded.points["knn_both"][-1].value == expected["r1_both"]
    assert (folded.progress.step, folded.progress.total_steps) == (12, 12)
    assert not list(folder.checkpoint.iterdir())  # what was computed on the way


def test_its_stage_refuses_an_edited_class(project: OwnProject, manifest: Manifest, tmp_path: Path) -> None:
    stage = planned(project, manifest).rows[0].stages["knn/tiny"]
    folder = stage.folder(tmp_path)
    stage.config(tmp_path).write(folder)
    file = project.folder / f"{project.module}.py"
    file.write_text(file.read_text() + "# an edit\n")
    line = [sys.executable, "-m", "mvcgc.stages", str(folder.path)]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"the source of {project.module}.Knn has changed since the run was planned" in done.stderr


def test_a_metric_counts_on_test_videos(
    project: OwnProject, lab: Path, manifest: Manifest, tmp_path: Path
) -> None:
    metric = project.load("Errors").Config(scale=2.0)
    spec = replace(LINEAR, test=TestConfig(1, 1), metrics={"errors": metric})
    metrics = evaluated(tmp_path / "stage", manifest, lab / "encoders", spec).metrics
    with np.load(tmp_path / "stage" / "predictions.npz") as predictions:
        for view in ("rgb", "mv", "both"):
            wrong = predictions[view].argmax(axis=1) != predictions["labels"]
            assert metrics[f"errors_{view}"] == pytest.approx(2 * wrong.mean())
            assert metrics[f"top1_{view}"] == pytest.approx(100 - 100 * wrong.mean())
    assert (
        journal.read(tmp_path / "stage" / "journal").points["errors_both"][-1].value == metrics["errors_both"]
    )
