"""Momentum twins follow, frozen views stay, and the whole state is in the state dict."""

import pytest
import torch

from mvcgc.method.base import MethodConfig
from mvcgc.method.mining import Ids
from mvcgc.method.momentum import ContrastModel
from mvcgc.models import Encoder, build_backbone
from mvcgc.models.s3d import S3D

VIEWS = {"rgb": 3, "mv": 2}
SMALL = S3D.Config(width=0.0625)


def build(seed: int = 0, momentum: float = 0.9) -> ContrastModel:
    torch.manual_seed(seed)
    return ContrastModel(VIEWS, SMALL, MethodConfig(queue=8, dim=8, momentum=momentum))


def clips(seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        view: torch.randn(4, channels, 8, 32, 32, generator=generator) for view, channels in VIEWS.items()
    }


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: torch.nn.Module) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def test_twins_start_equal_and_only_queries_learn() -> None:
    model = build()
    for view in VIEWS:
        pair = model.pair(view)
        assert not changed(state(pair.query), pair.key)
        assert all(p.requires_grad for p in pair.query.parameters())
        assert not any(p.requires_grad for p in pair.key.parameters())


def test_keys_follow_by_the_momentum() -> None:
    model = build(momentum=0.75)
    pair = model.pair("mv")
    with torch.no_grad():
        for parameter in pair.query.parameters():
            parameter.add_(torch.randn_like(parameter))
    before = [p.clone() for p in pair.key.parameters()]
    rgb = state(model.pair("rgb"))
    model.update_keys(("mv",))
    for old, key, query in zip(before, pair.key.parameters(), pair.query.parameters(), strict=True):
        torch.testing.assert_close(key, 0.75 * old + 0.25 * query)
    assert not changed(rgb, model.pair("rgb"))


def test_queries_and_keys_come_from_their_own_encoders() -> None:
    model, batch = build(), clips()
    with torch.no_grad():
        for parameter in model.pair("rgb").key.parameters():
            parameter.mul_(1.5).add_(0.01)
    queries = model(batch, ("rgb", "mv"))
    keys = model.keys(batch, ("rgb", "mv"))
    torch.testing.assert_close(queries["mv"], keys["mv"])
    assert (queries["rgb"] - keys["rgb"]).abs().max() > 1e-3
    assert all(query.requires_grad for query in queries.values())
    assert not any(key.requires_grad for key in keys.values())
    torch.testing.assert_close(queries["rgb"], model.pair("rgb").query(batch["rgb"]))


def test_a_frozen_view_has_no_gradient_and_keeps_its_statistics() -> None:
    model, batch = build().train(), clips()
    frozen, learning = state(model.pair("mv")), state(model.pair("rgb"))
    queries = model(batch, ("rgb",))
    keys = model.keys(batch, ("rgb",))
    queries["rgb"].sum().backward()
    model.update_keys(("rgb",))
    assert not queries["mv"].requires_grad
    assert all(p.grad is None for p in model.pair("mv").parameters())
    assert not changed(frozen, model.pair("mv"))
    assert any("running_mean" in name for name in changed(learning, model.pair("rgb")))
    # With running statistics, a sample's embedding does not depend on its batch.
    alone = model({view: clip[:1] for view, clip in batch.items()}, ())["mv"]
    torch.testing.assert_close(alone, queries["mv"][:1])
    torch.testing.assert_close(keys["mv"], queries["mv"])


def test_a_new_turn_forgets_old_keys() -> None:
    model = build()
    batch = clips()
    model(batch, ("rgb", "mv"))
    keys = model.keys(batch, ("rgb", "mv"))
    number = torch.arange(4)
    model.queue.enqueue(keys, Ids(number, number, number))
    with torch.no_grad():
        for parameter in model.pair("rgb").query.parameters():
            parameter.add_(0.1)
    model.start_turn()
    for view in VIEWS:
        assert not changed(state(model.pair(view).query), model.pair(view).key)
    assert not (model.queue.video >= 0).any()


def test_a_pair_starts_from_a_saved_encoder() -> None:
    torch.manual_seed(5)
    encoder = Encoder(build_backbone(SMALL, 2), dim=8)
    encoder(clips()["mv"])  # moves the running statistics too
    model = build()
    model.pair("mv").load(encoder.state_dict())
    for twin in (model.pair("mv").query, model.pair("mv").key):
        assert not changed(state(encoder), twin)
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.pair("rgb").load(encoder.state_dict())


def test_the_state_dict_is_the_whole_state() -> None:
    """Two models go on alike from one's state, after steps that moved everything."""
    model, other = build(0), build(9)

    def step(contrast: ContrastModel, seed: int) -> torch.Tensor:
        queries = contrast(clips(seed), ("rgb", "mv"))
        loss = sum(query[:, 0].sum() for query in queries.values())
        contrast.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in contrast.parameters():
                if parameter.grad is not None:
                    parameter.sub_(0.1 * parameter.grad)
        contrast.update_keys(("rgb", "mv"))
        keys = contrast.keys(clips(seed + 100), ("rgb", "mv"))
        number = torch.arange(4) + seed
        contrast.queue.enqueue(keys, Ids(number, number, number))
        return loss.detach()

    for seed in range(3):
        step(model, seed)
    other.load_state_dict(model.state_dict())
    assert step(model, 3) == step(other, 3)
    assert not changed(state(model), other)
