"""How long stages will take, by what others took."""

from pathlib import Path

import pytest
from plan_factories import finish, make_graph, make_row

from mvcgc.method.coclr import CoCLR
from mvcgc.plan import Graph, Resources, Speeds
from mvcgc.stages.spec import Runtime


@pytest.fixture
def graph() -> Graph:
    return make_graph([make_row()])


def seconds(graph: Graph, speeds: Speeds, row: int = 0) -> dict[str, float | None]:
    return {name: speeds.seconds(stage) for name, stage in graph.rows[row].stages.items()}


def test_nothing_is_known_of_a_first_run(graph: Graph, tmp_path: Path) -> None:
    found = seconds(graph, Speeds(tmp_path, None))
    assert found == {
        "init/rgb": None,
        "init/mv": None,
        "cross": None,
        "linear/tiny": 0.0,
        "retrieve/tiny": 0.0,
    }


def test_a_given_speed_is_of_one_network_on_one_rank(tmp_path: Path) -> None:
    runtime = Runtime(ranks=2)
    graph = make_graph([make_row(resources=Resources(init=runtime, cross=runtime))])
    stages = graph.rows[0].stages
    found = seconds(graph, Speeds(tmp_path, 50.0))
    assert found["init/rgb"] == stages["init/rgb"].cost.clips * 30 / (50 * 2)
    assert found["cross"] == stages["cross"].cost.clips * 20 * 2 / (50 * 2)  # two networks learn


def test_finished_stages_are_the_measure_for_their_like(graph: Graph, tmp_path: Path) -> None:
    stages = graph.rows[0].stages
    finish(stages["init/rgb"], tmp_path, loss=1.0, clips_per_s=10.0)
    finish(stages["cross"], tmp_path, loss=1.0, clips_per_s=4.0)
    clips = stages["cross"].cost.clips
    other_seed = make_graph([make_row(seed=1)])
    found = seconds(other_seed, Speeds(tmp_path, None))
    assert found["init/rgb"] == pytest.approx(30 * clips / 10)
    assert found["cross"] == pytest.approx(20 * clips / 4)
    # No init/mv has finished; a network's own pace is known of one at 10 and of two at 4 clips per second.
    assert found["init/mv"] == pytest.approx(30 * clips / 9)


def test_more_ranks_are_faster(graph: Graph, tmp_path: Path) -> None:
    stages = graph.rows[0].stages
    finish(stages["init/rgb"], tmp_path, loss=1.0, clips_per_s=10.0)
    wide = make_graph([make_row(seed=1, resources=Resources(init=Runtime(ranks=2)))])
    clips = stages["init/rgb"].cost.clips
    assert seconds(wide, Speeds(tmp_path, None))["init/rgb"] == pytest.approx(30 * clips / 20)


@pytest.mark.parametrize(
    "changes", [{"backbone__width": 0.25}, {"clip__size": 64}, {"resources": Resources(init=Runtime(gpus=1))}]
)
def test_another_network_clip_or_device_is_no_measure(
    graph: Graph, tmp_path: Path, changes: dict[str, object]
) -> None:
    finish(graph.rows[0].stages["init/rgb"], tmp_path, loss=1.0, clips_per_s=10.0)
    assert seconds(make_graph([make_row(**changes)]), Speeds(tmp_path, None))["init/rgb"] is None


def test_another_method_goes_by_the_pace_of_its_networks(graph: Graph, tmp_path: Path) -> None:
    finish(graph.rows[0].stages["cross"], tmp_path, loss=1.0, clips_per_s=4.0)
    other = make_graph([make_row(method=CoCLR.Config(queue=16))])
    cost = other.rows[0].stages["cross"].cost
    assert seconds(other, Speeds(tmp_path, None))["cross"] == pytest.approx(cost.clip_epochs / 8)
