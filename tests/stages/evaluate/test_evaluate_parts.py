"""What evaluations are made of: passes that go on, journals of parts, cached features, weighted means."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import evaluate_factories as standin
import pytest
import torch
from data_factories import STRONG
from evaluate_factories import SPEC
from torch import Tensor, nn

from mvcgc.data.clips.dataset import DrawDataset, RandomDataset
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.loading.loader import read
from mvcgc.models.classifier import Probe
from mvcgc.stages.evaluate import classify, inference, setup
from mvcgc.stages.evaluate.course import Course
from mvcgc.stages.evaluate.inference import _Bins, collect, forget
from mvcgc.stages.evaluate.setup import Bench
from mvcgc.stages.evaluate.task import Classify, FeatureBatch, FeatureLoader, validation
from mvcgc.train import Amp, Interrupted, NotFinite, StopFlag
from mvcgc.train.arrival import Arrival


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    standin.make_encoders(folder / "encoders")
    return folder


@pytest.fixture(scope="module")
def manifest(lab: Path) -> Manifest:
    return standin.make_dataset(lab)


class Told:
    """A journal that remembers."""

    def __init__(self) -> None:
        self.began: list[tuple[int, str]] = []
        self.figures: list[tuple[int, dict[str, float]]] = []
        self.resumed: list[int] = []

    def begin(self, total_steps: int, unit: str) -> None:
        self.began.append((total_steps, unit))

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self.figures.append((step, dict(metrics)))

    def resume(self, from_step: int) -> None:
        self.resumed.append(from_step)

    def params(self, params: Mapping[str, Any]) -> None: ...

    def tags(self, tags: Mapping[str, str]) -> None: ...

    def flush(self) -> None: ...


def test_parts_follow_one_another_in_the_journal() -> None:
    told = Told()
    course = Course(told, {"train": 10, "rgb": 30, "mv": 30, "test": 5})
    assert told.began == [(75, "step")]
    course.part("train").metrics(10, {"clips_per_s": 1.0})
    course.part("rgb", "_rgb").metrics(7, {"loss": 2.0})
    course.part("mv", "_mv").metrics(7, {"loss": 3.0})
    course.finish({"top1_rgb": 50.0})
    expected = [
        (10, {"clips_per_s": 1.0}),
        (17, {"loss_rgb": 2.0}),
        (47, {"loss_mv": 3.0}),
        (75, {"top1_rgb": 50.0}),
    ]
    assert told.figures == expected
    course.part("rgb").resume(30)  # complete: what was told of mv still holds
    course.part("mv").resume(12)
    assert told.resumed == [52]


def mean_colour(clips: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"colour": clips["rgb"].mean(dim=(2, 3, 4))}


def test_a_pass_goes_on_with_the_videos_that_are_left(
    lab: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (setup, inference):
        monkeypatch.setattr(module, "ROWS", 10)  # a video's two windows come in two batches
    flag, batches = StopFlag(), []

    def attempt(folder: Path, stop_at: int = 0) -> tuple[dict[str, Tensor], Told]:
        told = Told()
        context = standin.context_of(folder, manifest, lab / "encoders", told, flag)
        one = Bench(context, SPEC, manifest).whole("all", ids)

        def compute(clips: dict[str, Tensor]) -> dict[str, Tensor]:
            batches.append(len(clips["rgb"]))
            if len(batches) == stop_at:
                flag.raise_flag(15)
            return mean_colour(clips)

        journal = Course(told, {"all": len(ids)}).part("all")
        return collect(context, journal, one, compute), told

    ids = [11, 3, 5, 0, 8]
    whole, told = attempt(tmp_path / "whole")
    rows = sum(batches)
    assert rows == 20 * len(ids)
    assert told.resumed == []
    assert told.figures[-1][0] == len(ids)
    batches.clear()
    with pytest.raises(Interrupted, match="SIGTERM: what pass all found is saved"):
        attempt(tmp_path / "parts", stop_at=5)  # two videos are done, the third is not
    seen = sum(batches)
    batches.clear()
    flag._received = None
    found, told = attempt(tmp_path / "parts")
    done = seen // 20
    assert (seen, done) == (50, 2)
    assert told.resumed == [done]
    assert sum(batches) == rows - 20 * done
    torch.testing.assert_close(found["colour"], whole["colour"], rtol=0, atol=0)
    batches.clear()
    again, told = attempt(tmp_path / "parts")
    assert batches == []
    assert told.resumed == told.figures == []
    assert torch.equal(again["colour"], whole["colour"])
    context = standin.context_of(tmp_path / "parts", manifest, lab / "encoders")
    forget(context, Bench(context, SPEC, manifest).whole("all", ids))
    assert not list((tmp_path / "parts" / "checkpoint").iterdir())


def test_rows_of_a_video_may_come_in_any_batches() -> None:
    bins = _Bins({7: 3, 2: 1, 5: 2}, lambda rows: rows.mean(dim=0))
    values = torch.tensor([[1.0], [3.0], [10.0], [8.0], [4.0]])
    bins.add(torch.tensor([7, 7, 2]), ["a", "a", "b"], {"x": values[:3]})
    first = bins.take()
    assert (first.video, first.values["x"].tolist()) == ([2], [[10.0]])
    bins.add(torch.tensor([7, 5]), ["a", "c"], {"x": values[3:]})
    second = bins.take()
    assert (second.video, second.values["x"].tolist()) == ([7], [[4.0]])
    assert bins.take().video == []
    assert bins.finished == 2


def test_what_is_not_finite_is_named() -> None:
    bins = _Bins({1: 1, 2: 1}, lambda rows: rows[0])
    bins.add(torch.tensor([1, 2]), ["first.avi", "second.avi"], {"x": torch.tensor([[1.0], [torch.nan]])})
    with pytest.raises(NotFinite, match=r"not finite for second\.avi$"):
        bins.take()


def test_a_pass_reads_a_batch_when_the_next_is_under_way(
    lab: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU would else have nothing to do while the host reads what it found."""
    monkeypatch.setattr(inference, "ROWS", 20)
    monkeypatch.setattr(setup, "ROWS", 20)
    happened, arrived = [], Arrival.values

    def values(arrival: Arrival) -> dict[str, Tensor]:
        happened.append("read")
        return arrived(arrival)

    def compute(clips: dict[str, Tensor]) -> dict[str, Tensor]:
        happened.append("compute")
        return mean_colour(clips)

    monkeypatch.setattr(Arrival, "values", values)
    context = standin.context_of(tmp_path / "one", manifest, lab / "encoders")
    one = Bench(context, SPEC, manifest).whole("all", [0, 1, 2, 3])
    collect(context, Course(Told(), {"all": 4}).part("all"), one, compute)
    assert happened == ["compute", "compute", "read", "compute", "read", "compute", "read", "read"]


@pytest.mark.parametrize("amp", [Amp.none, Amp.fp16])
def test_networks_of_a_pass_compute_in_its_precision(
    lab: Path, manifest: Manifest, tmp_path: Path, amp: Amp
) -> None:
    """Backbones alone: clips are prepared, and a probe ranks classes, in float32."""
    context = standin.context_of(tmp_path / "one", manifest, lab / "encoders")
    bench = Bench(context, replace(SPEC, amp=amp), manifest)
    backbone, probe = bench.backbone("rgb"), Probe(bench.backbone("rgb").dim, 3).eval()
    seen: dict[str, torch.dtype] = {}

    def watch(name: str) -> Callable[..., None]:
        def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
            seen[name], seen[f"{name} of"] = output.dtype, inputs[0].dtype

        return note

    backbone.register_forward_hook(watch("backbone"))
    probe.register_forward_hook(watch("probe"))
    compute = classify._classify({"rgb": classify._over(backbone, probe)})
    found = collect(context, Course(Told(), {"all": 1}).part("all"), bench.glance("all", [0]), compute)
    assert seen == {
        "backbone of": torch.float32,
        "backbone": amp.dtype,
        "probe of": torch.float32,
        "probe": torch.float32,
    }
    assert found["rgb"].dtype == torch.float32


def test_draws_are_the_clips_of_training(lab: Path, manifest: Manifest) -> None:
    bench = Bench(standin.context_of(lab / "none", manifest, lab / "encoders"), SPEC, manifest)
    source = bench.source([4, 2], ["rgb", "mv"])
    draws = DrawDataset(source, STRONG, SPEC.seed, draws=5, rows_per_item=2)
    random = RandomDataset(source, STRONG, SPEC.seed, clips=1)
    items = draws.plan(1)
    assert [draws.rows(item) for item in items] == [2, 2, 1]
    epoch = 0
    for item in items:
        several = read([draws.item(item)])
        assert set(several.names) == {manifest.videos[2].path}
        for row in range(draws.rows(item)):
            alone = read([random.item((epoch, 1))])
            assert (several.draws[row] == alone.draws[0]).all()
            for view in ("rgb", "mv"):
                assert (several.views[view][row] == alone.views[view][0]).all()
            epoch += 1
    assert epoch == 5


def test_cached_features_come_as_epochs_of_whole_batches() -> None:
    features = torch.arange(7 * 3).reshape(7, 3, 1).float()  # video v, draw d: 3 v + d
    loader = FeatureLoader(features, torch.arange(7), [str(v) for v in range(7)], batch_size=3, seed=1)
    assert len(loader) == 2
    orders = []
    for epoch in range(4):
        batches = list(loader.epoch(epoch, 0))
        videos = [int(name) for batch in batches for name in batch.names]
        assert [len(batch.names) for batch in batches] == [batch.clips for batch in batches] == [3, 3]
        assert len(set(videos)) == 6
        assert [label for batch in batches for label in batch.label.tolist()] == videos
        found = [int(value) for batch in batches for value in batch.features[:, 0]]
        assert found == [3 * video + epoch % 3 for video in videos]
        (rest,) = loader.epoch(epoch, 1)
        assert rest.names == batches[1].names
        orders.append(videos)
    assert orders[0] != orders[1]


def test_validation_counts_samples_not_batches() -> None:
    task = Classify(torch.nn.Identity(), lambda batch: batch.features).eval()
    logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    batches = [
        FeatureBatch(logits[part], labels[part], [str(i) for i in range(5)][part])
        for part in (slice(0, 4), slice(4, 5))
    ]
    expected = torch.nn.functional.cross_entropy(logits, labels).item()
    found = validation(task, batches, torch.device("cpu")).metrics
    assert found == {"val_loss": pytest.approx(expected)}
