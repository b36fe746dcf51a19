"""The batch scripts that a plan shows."""

from pathlib import Path

import pytest
from plan_factories import finish, make_graph, make_row

from mvcgc.dist import Device
from mvcgc.launch.slurm.batch_script import batch_script
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.launch.slurm.preview import is_for_slurm, scripts
from mvcgc.plan import Graph, Resources, judge
from mvcgc.stages.spec import Runtime

GPU = Runtime(ranks=2, gpus=1, device=Device.cuda)
ON_GPUS = Resources(init=GPU, cross=GPU, linear=GPU, finetune=GPU, retrieve=GPU)


@pytest.fixture
def graph() -> Graph:
    """Two rows that share their initialisation."""
    return make_graph([make_row("a", ON_GPUS), make_row("b", ON_GPUS, method__k=1)])


def test_scripts_are_those_that_are_submitted(graph: Graph, tmp_path: Path) -> None:
    settings = SlurmConfig(partition="gpu")
    shown = scripts(graph, judge(graph, tmp_path), settings, tmp_path)
    assert len(shown) == 4  # sorts of stages: init, cross, linear, retrieve
    stages = graph.rows[0].stages
    title, _, script = shown[0].partition("\n")
    assert title.startswith(f"# sbatch script of {stages['init/rgb'].id}, and of 1 more that differ in name")
    assert script == batch_script(stages["init/rgb"], settings, tmp_path).text
    waiting = next(text for text in shown if f"script of {stages['cross'].id}" in text)
    assert f"afterok:<job of {stages['init/rgb'].id}>:<job of {stages['init/mv'].id}>" in waiting


def test_what_is_finished_has_neither_script_nor_dependency(graph: Graph, tmp_path: Path) -> None:
    stages = graph.rows[0].stages
    for name in ("init/rgb", "init/mv"):
        finish(stages[name], tmp_path, loss=1.0)
    shown = scripts(graph, judge(graph, tmp_path), SlurmConfig(), tmp_path)
    assert len(shown) == 3
    cross = next(text for text in shown if f"script of {stages['cross'].id}" in text)
    assert "--dependency" not in cross


def test_scripts_are_of_interest_where_a_cluster_is_named() -> None:
    assert not is_for_slurm(SlurmConfig(action="plan", why="cross", clips_per_s=3.0))
    assert is_for_slurm(SlurmConfig(action="plan", partition="gpu"))
