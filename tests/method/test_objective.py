"""Every variant's loss against loops over samples and keys, written from the method's table, in float64."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from mvcgc.method.objective import Term, objective, step_metrics

from mvcgc.method.mining import Ids, MethodConfig, Mining, Relations, Variant, relate

TAU = 0.1
Vectors = dict[str, torch.Tensor]


class Case:
    """Random embeddings, few ids so that siblings are common, ``empty`` entries at the end of the queue."""

    def __init__(self, seed: int, batch: int = 3, entries: int = 6, empty: int = 0, ids: int = 4) -> None:
        generator = torch.Generator().manual_seed(seed)

        def vectors(count: int) -> torch.Tensor:
            drawn = torch.randn(count, 4, dtype=torch.float64, generator=generator)
            return drawn / drawn.norm(dim=1, keepdim=True)

        def draw(count: int) -> Ids:
            video, group, label = torch.randint(ids, (3, count), generator=generator)
            return Ids(video, group, label)

        self.queries: Vectors = {view: vectors(batch) for view in ("rgb", "mv")}
        self.keys: Vectors = {view: vectors(batch) for view in ("rgb", "mv")}
        self.queue: Vectors = {view: vectors(entries) for view in ("rgb", "mv")}
        self.samples, self.entries = draw(batch), draw(entries)
        for field in (self.entries.video, self.entries.group, self.entries.label):
            field[entries - empty :] = -1

    def terms(self, method: MethodConfig, trained: tuple[str, ...] = ("rgb", "mv")) -> list[Term]:
        return objective(
            method,
            trained=trained,
            queries=self.queries,
            keys=self.keys,
            queue=self.queue,
            relations=self.relations(),
        )

    def relations(self) -> Relations:
        return relate(self.samples, self.entries)


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def slow_loss(case: Case, method: MethodConfig, view: str) -> float:
    """Mean loss of the queries of ``view``: one sum over the queue per sample, one exponential at a time."""
    other = {"rgb": "mv", "mv": "rgb"}[view]
    target = other if method.variant in (Variant.cmc, Variant.mvcgc) else view
    count = len(case.entries.video)
    full = all(video != -1 for video in case.entries.video.tolist())
    total = 0.0
    for i in range(len(case.samples.video)):
        real = [q for q in range(count) if case.entries.video[q] != -1]
        siblings = {
            q
            for q in real
            if case.entries.video[q] == case.samples.video[i]
            or case.entries.group[q] == case.samples.group[i]
        }
        allowed = [q for q in real if q not in siblings]

        def nearest(within: str, i: int = i, allowed: list[int] = allowed) -> set[int]:
            if not full:
                return set()
            score = {q: dot(case.queries[within][i], case.queue[within][q]) for q in allowed}
            return set(sorted(allowed, key=lambda q: -score[q])[: method.k])

        if method.variant is Variant.coclr:
            positives = nearest(other)
        elif method.variant is Variant.mvcgc and method.mining is Mining.intersection:
            positives = nearest("rgb") & nearest("mv")
        elif method.variant is Variant.mvcgc:
            positives = nearest("rgb") | nearest("mv")
        elif method.variant is Variant.uber:
            positives = {q for q in real if case.entries.label[q] == case.samples.label[i]}
        else:
            positives = set()
        query = case.queries[view][i]
        above = math.exp(dot(query, case.keys[target][i]) / TAU)
        below = above
        for q in real:
            weight = math.exp(dot(query, case.queue[target][q]) / TAU)
            above += weight if q in positives else 0.0
            below += weight if q in positives or q not in siblings else 0.0
        total -= math.log(above / below)
    return total / len(case.samples.video)


methods = st.builds(
    MethodConfig,
    variant=st.sampled_from([variant for variant in Variant if variant is not Variant.init]),
    mining=st.sampled_from(Mining),
    k=st.integers(1, 8),
    tau=st.just(TAU),
)


@settings(max_examples=150, deadline=None)
@given(
    method=methods,
    seed=st.integers(0, 2**31),
    entries=st.integers(1, 7),
    empty=st.integers(0, 2),
    ids=st.sampled_from([1, 2, 4, 30]),
)
def test_every_variant_is_its_equation(
    method: MethodConfig, seed: int, entries: int, empty: int, ids: int
) -> None:
    """Siblings in the queue (only siblings at ids = 1), an unfilled one, k beyond it."""
    case = Case(seed, entries=entries, empty=min(empty, entries), ids=ids)
    for term in case.terms(method):
        assert term.loss().item() == pytest.approx(slow_loss(case, method, term.view), abs=1e-10)


def test_both_directions_are_summed() -> None:
    case, method = Case(1), MethodConfig(variant=Variant.mvcgc, k=3, tau=TAU)
    assert [term.view for term in case.terms(method)] == ["rgb", "mv"]
    assert [term.view for term in case.terms(method, trained=("mv",))] == ["mv"]


def test_an_empty_intersection_is_cmc() -> None:
    case = Case(2, ids=1000)
    case.queue["mv"] = case.queue["mv"][:1].repeat(6, 1)
    case.queue["mv"][0] *= -1
    # Motion finds one of the later entries nearest, and rgb is made to find the first.
    case.queries["mv"][:] = -case.queue["mv"][0]
    case.queries["rgb"][:] = case.queue["rgb"][0]
    losses = [
        [term.loss().item() for term in case.terms(MethodConfig(variant=variant, k=1, tau=TAU))]
        for variant in (Variant.mvcgc, Variant.cmc)
    ]
    assert losses[0] == losses[1]


def test_every_key_a_positive_costs_nothing() -> None:
    case = Case(3, ids=1000)
    method = MethodConfig(variant=Variant.mvcgc, mining=Mining.union, k=50, tau=TAU)
    for term in case.terms(method):
        assert term.positives.all()
        assert term.loss().item() == 0.0


def test_one_view_alone_needs_no_other() -> None:
    case, method = Case(4), MethodConfig(variant=Variant.infonce, tau=TAU)
    both = case.terms(method)
    for vectors in (case.queries, case.keys, case.queue):
        del vectors["mv"]
    (alone,) = case.terms(method, trained=("rgb",))
    assert alone.loss() == both[0].loss()


def test_gradient_reaches_the_queries_only_through_the_logits() -> None:
    case = Case(5, ids=1000)
    for query in case.queries.values():
        query.requires_grad_()
    rgb, _ = case.terms(MethodConfig(variant=Variant.mvcgc, k=3, tau=TAU))
    rgb.loss().backward()
    assert case.queries["rgb"].grad is not None
    assert case.queries["mv"].grad is None


def test_autocast_changes_nothing() -> None:
    case = Case(6, batch=8, entries=40, ids=1000)
    for vectors in (case.queries, case.keys, case.queue):
        vectors.update({view: vector.float() for view, vector in vectors.items()})
    method = MethodConfig(variant=Variant.mvcgc, k=5, tau=TAU)
    expected = case.terms(method)
    with torch.autocast("cpu", torch.bfloat16):
        terms = case.terms(method)
    for term, other in zip(terms, expected, strict=True):
        assert torch.equal(term.logits, other.logits)
        assert torch.equal(term.positives, other.positives)


def test_metrics_by_hand() -> None:
    no, yes = False, True
    term = Term(
        view="rgb",
        logits=torch.tensor([[2.0, 3.0, 1.0, 0.0], [2.0, 1.0, 5.0, 0.0]]),
        positives=torch.tensor([[yes, yes, yes, no], [yes, no, no, yes]]),
        candidates=torch.tensor([[yes, yes, yes, yes], [yes, yes, no, yes]]),
    )
    samples = Ids(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([7, 8]))
    entries = Ids(torch.tensor([2, 3, 4]), torch.tensor([2, 3, 4]), torch.tensor([7, 8, -1]))
    means = {name: value.item() for name, value in step_metrics([term], relate(samples, entries)).items()}
    # The first sample's own pair loses to entry 0, the second's only to a key that is no candidate.
    # The first mines entries 0 (right) and 1 (wrong), the second entry 2 (unknown).
    assert means == {"acc_rgb": 0.5, "mined": 1.5, "mined_labelled": 1.0, "mined_right": 0.5}
