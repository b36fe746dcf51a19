"""The projection head is CoCLR's, as linear layers, and its output lies on the unit sphere."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from mvcgc.models import Encoder, build_backbone, pool_map
from mvcgc.models.s3d import S3D


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(build_backbone(S3D.Config(width=0.0625), 3), dim=16)


def test_head_equals_two_1x1_convolutions(encoder: Encoder) -> None:
    encoder.eval()
    clip = torch.randn(3, 3, 8, 32, 32)
    first, _, second = encoder.head
    convolutions = []
    for linear in (first, second):
        convolution = nn.Conv3d(linear.in_features, linear.out_features, 1)
        convolution.weight.data.copy_(linear.weight.data[:, :, None, None, None])
        convolution.bias.data.copy_(linear.bias.data)
        convolutions.append(convolution)
    pooled = functional.adaptive_avg_pool3d(encoder.backbone(clip), 1)
    expected = convolutions[1](convolutions[0](pooled).relu()).flatten(1)
    torch.testing.assert_close(encoder(clip), expected / expected.norm(dim=1, keepdim=True))
    assert first.in_features == first.out_features == encoder.backbone.dim


def test_embeddings_are_unit_vectors(encoder: Encoder) -> None:
    embedding = encoder(torch.randn(4, 3, 8, 32, 32))
    assert embedding.shape == (4, 16)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))


def test_pooling_averages_time_and_space() -> None:
    feature_map = torch.randn(2, 5, 3, 4, 2)
    torch.testing.assert_close(pool_map(feature_map), feature_map.flatten(2).mean(2))


def test_autocast_leaves_float32_unit_vectors(encoder: Encoder) -> None:
    clip = torch.randn(4, 3, 8, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder.backbone(clip).dtype == torch.bfloat16
        embedding, features = encoder(clip), encoder.features(clip)
    assert embedding.dtype == features.dtype == torch.float32
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))
