"""What a stage has at hand."""

import signal
from pathlib import Path

import pytest
import torch

from mvcgc.dist import Dist
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.context import NoStageJournal, StageContext
from mvcgc.stages.spec import Runtime, StageConfig
from mvcgc.train import Interrupted, StopFlag


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    runtime = Runtime(log_every=7, checkpoint_every_s=11.0)
    return StageContext(
        folder=StageFolder(tmp_path / "cross-0123456789abcdef"),
        config=StageConfig("cross", "cross", "", "0123456789abcdef", 1, {}, "", {}, runtime),
        dist=Dist(0, 1, 0, torch.device("cpu")),
        journal=NoStageJournal(),
        stop=StopFlag(),
        parents={},
    )


def test_stop_is_noticed_between_batches(context: StageContext) -> None:
    context.check_stop()
    context.stop.raise_flag(signal.SIGUSR2)
    with pytest.raises(Interrupted, match="SIGUSR2"):
        context.check_stop()


def test_trainings_of_one_stage_keep_their_checkpoints_apart(context: StageContext) -> None:
    for part in ("rgb", "mv"):
        session = context.session(seed=3, part=part)
        assert (session.name, session.seed) == (f"cross {part}", 3)
        assert (session.log_every, session.checkpoint_every_s) == (7, 11.0)
        assert session.checkpoints.load() is None
        session.checkpoints.save(1, {"part": part}, {})
    for part in ("rgb", "mv"):
        loaded = context.session(seed=3, part=part).checkpoints.load()
        assert loaded is not None
        assert loaded.shared == {"part": part}
    assert context.session(seed=3).checkpoints.load() is None
