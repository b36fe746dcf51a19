"""The plain step is the same step: else beating it would mean nothing."""

import pytest
import torch
from torch import nn

from mvcgc import dist
from mvcgc.bench import workload
from mvcgc.bench.baseline_step import BaselineStep
from mvcgc.bench.pretrain_step import STAGES, PretrainStep, Setting
from mvcgc.bench.workload import Shape
from mvcgc.models.layers import Conv, MaxPool
from mvcgc.models.s3d import S3D
from mvcgc.models.tiny import R2Plus1D4

CPU = torch.device("cpu")
SHAPE = Shape(frames=8, size=48, batch=6)


@pytest.mark.parametrize("stage", STAGES)
def test_losses_agree_step_for_step(stage: str) -> None:
    setting = Setting(stage, R2Plus1D4.Config(), SHAPE)
    batches = [workload.synthetic_batch(SHAPE, setting.views, seed, CPU) for seed in range(3)]
    plain = BaselineStep(setting.model(), setting.method, setting.optim, CPU)
    theirs = [plain.take(batch) for batch in batches]
    ours = PretrainStep(setting, dist.Dist(0, 1, 0, CPU)).losses(batches)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-4)
    assert ours[1:] == pytest.approx(theirs[1:], rel=1e-2)  # after Adam has blown rounding up
    assert abs(ours[0] - ours[1]) > 1e-3, "the batches must differ for this to mean anything"


def test_its_layers_are_torchs_own() -> None:
    setting = Setting("init/mv", S3D.Config(), SHAPE)
    model = setting.model()
    peer = BaselineStep(model, setting.method, setting.optim, CPU)
    layers = [
        module for part in vars(peer).values() if isinstance(part, nn.Module) for module in part.modules()
    ]
    assert not any(isinstance(layer, Conv | MaxPool) for layer in layers)
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv3d)]
    ours = [layer for layer in model.modules() if isinstance(layer, Conv)]
    assert len(convolutions) == len(ours) == 2 * 77
    assert all(layer.weight.is_contiguous() for layer in convolutions)
