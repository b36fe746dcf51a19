import os
from pathlib import Path

import pytest
from plan_factories import make_graph, make_row

from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.launch.local.machine import Capacity, ResourcePool, Share, cgroup_cores
from mvcgc.plan import Resources, Stage
from mvcgc.stages.spec import Runtime


def stage_with(runtime: Runtime) -> Stage:
    return make_graph([make_row(resources=Resources(init=runtime))]).rows[0].stages["init/rgb"]


@pytest.mark.parametrize(
    ("content", "cores"),
    [("200000 100000\n", 2), ("150000 100000\n", 1), ("max 100000\n", 1 << 20), ("", 1 << 20)],
)
def test_a_containers_limit(tmp_path: Path, content: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert cgroup_cores(tmp_path / "cpu.max") == cores
    assert cgroup_cores(tmp_path / "absent") == 1 << 20


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert 1 <= Capacity.here().cores <= len(os.sched_getaffinity(0))
    assert Capacity.here().gpus == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-ab,-1")
    assert Capacity.here().gpus == ("5", "GPU-ab")


@pytest.mark.parametrize(
    ("runtime", "gpus", "wanted"),
    [
        (Runtime(device=Device.cpu, gpus=1), 4, 0),
        (Runtime(device=Device.cuda), 4, 1),
        (Runtime(device=Device.cuda, ranks=2, gpus=1), 1, 2),
        (Runtime(device=Device.auto, ranks=2), 4, 2),
        (Runtime(device=Device.auto, ranks=2), 1, 0),
        (Runtime(device=Device.auto, ranks=2), 0, 0),
        (Runtime(device=Device.auto, ranks=2, gpus=1), 1, 2),
    ],
)
def test_how_many_gpus_a_stage_is_to_have(runtime: Runtime, gpus: int, wanted: int) -> None:
    pool = ResourcePool(Capacity(4, tuple(str(gpu) for gpu in range(gpus))))
    stage = stage_with(runtime)
    assert pool.gpus_for(stage) == wanted
    if wanted > gpus:
        with pytest.raises(
            UserError, match=f"stage init/rgb asks for {wanted} GPUs and this machine has {gpus}"
        ):
            pool.check(stage)
    else:
        pool.check(stage)


def test_what_is_taken_is_gone_until_it_is_given_back() -> None:
    pool = ResourcePool(Capacity(3, ("a", "b")))
    stage = stage_with(Runtime(ranks=2))
    share = pool.take(stage)
    assert share == Share(2, ("a", "b"))
    assert pool.take(stage) is None
    single = pool.take(stage_with(Runtime(device=Device.cpu)))
    assert single == Share(1, ())
    assert pool.exhausted
    pool.give_back(single)
    pool.give_back(share)
    assert pool.take(stage) == share
