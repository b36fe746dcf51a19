"""What a plan costs."""

from pathlib import Path

import pytest
from plan_factories import finish, make_graph, make_row

from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.launch.slurm import cost
from mvcgc.launch.slurm.batch_script import gpus_of
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.plan import Graph, Resources, judge
from mvcgc.stages.spec import Runtime

GPU = Runtime(ranks=2, gpus=1, device=Device.cuda)
ON_GPUS = Resources(init=GPU, cross=GPU, linear=GPU, finetune=GPU, retrieve=GPU)


@pytest.fixture
def graph() -> Graph:
    """Two rows that share their initialisation."""
    return make_graph([make_row("a", ON_GPUS), make_row("b", ON_GPUS, method__k=1)])


def hours(graph: Graph) -> float:
    """GPU-hours of the graph at one clip per second, network and rank: the ranks cancel out."""
    return sum(stage.cost.clip_epochs for stage in graph.stages.values()) / 3600


def test_gpu_hours_alone_shared_and_to_run(graph: Graph, tmp_path: Path) -> None:
    settings = SlurmConfig(clips_per_s=1.0)
    found = cost.estimate(graph, judge(graph, tmp_path), settings, tmp_path)
    init, cross = (graph.rows[0].stages[name].cost.clip_epochs / 3600 for name in ("init/rgb", "cross"))
    assert found.gpu.alone == pytest.approx(4 * init + 2 * cross)
    assert found.gpu.shared == found.gpu.to_run == pytest.approx(2 * init + 2 * cross) == hours(graph)
    assert found.core == cost.Hours()
    finish(graph.rows[0].stages["init/rgb"], tmp_path, loss=1.0)
    found = cost.estimate(graph, judge(graph, tmp_path), settings, tmp_path)
    assert found.gpu.to_run == pytest.approx(init + 2 * cross)
    assert found.lines[0].startswith("GPU-hours: ")


def test_without_gpus_cores_count(tmp_path: Path) -> None:
    graph = make_graph([make_row(resources=Resources(init=Runtime(ranks=2, cpus=3)))])
    found = cost.estimate(graph, judge(graph, tmp_path), SlurmConfig(clips_per_s=1.0), tmp_path)
    init, cross = (graph.rows[0].stages[name].cost.clip_epochs / 3600 for name in ("init/rgb", "cross"))
    assert found.core.shared == pytest.approx(2 * 3 * init + cross)
    assert found.gpu == cost.Hours()
    assert [line.partition(":")[0] for line in found.lines] == ["core-hours"]


def test_stages_of_unknown_speed_are_named(graph: Graph, tmp_path: Path) -> None:
    lines = cost.estimate(graph, judge(graph, tmp_path), SlurmConfig(), tmp_path).lines
    assert lines == [
        "hours unknown of 4 stages still to run (init/rgb, init/mv, cross, ...): none like them has "
        "finished; give hydra.launcher.clips_per_s, of one network on one rank"
    ]


def test_a_budget_is_not_exceeded(graph: Graph, tmp_path: Path) -> None:
    verdicts, needed = judge(graph, tmp_path), hours(graph)
    cost.check_budget(graph, verdicts, SlurmConfig(), tmp_path)
    enough = SlurmConfig(clips_per_s=1.0, budget_gpu_hours=needed * 1.01)
    cost.check_budget(graph, verdicts, enough, tmp_path)
    with pytest.raises(UserError, match=r"budget_gpu_hours=0\.1: what is still to run would take"):
        cost.check_budget(graph, verdicts, SlurmConfig(clips_per_s=1.0, budget_gpu_hours=0.1), tmp_path)


def test_a_budget_needs_known_speeds(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"give hydra\.launcher\.clips_per_s"):
        cost.check_budget(graph, judge(graph, tmp_path), SlurmConfig(budget_gpu_hours=10.0), tmp_path)


@pytest.mark.parametrize(
    ("settings", "gpus"),
    [
        (SlurmConfig(), 4),
        (SlurmConfig(gpus_per_node=3), 6),
        (SlurmConfig(gpus_per_task=2), 8),
        (SlurmConfig(gres="gpu:a100:2,shard:1"), 4),
    ],
)
def test_gpus_of_a_job(settings: SlurmConfig, gpus: int) -> None:
    assert gpus_of(Runtime(ranks=4, nodes=2, gpus=1, device=Device.cuda), settings) == gpus
