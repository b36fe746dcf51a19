"""Every method against loops over samples and keys, written from the methods' table, in float64."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from mvcgc.errors import UserError
from mvcgc.method.base import Embeddings, Method, MethodConfig, Term, other_view
from mvcgc.method.cmc import CMC
from mvcgc.method.coclr import CoCLR
from mvcgc.method.infonce import InfoNCE
from mvcgc.method.init_only import InitOnly
from mvcgc.method.mining import Ids, Relations, relate
from mvcgc.method.mvcgc import MVCGC, Mining
from mvcgc.method.uber import UberNCE

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

    def terms(
        self, method: MethodConfig, trained: tuple[str, ...] = ("rgb", "mv"), chance: float = 0.0
    ) -> list[Term]:
        step = Embeddings(self.queries, self.keys, self.queue, self.relations(), chance)
        return [built(method).term(view, step) for view in trained]

    def relations(self) -> Relations:
        return relate(self.samples, self.entries)


def built(config: MethodConfig) -> Method:
    return config.part(config)


def loss(method: MethodConfig, term: Term) -> torch.Tensor:
    """Mean of the samples' losses, as a step takes it."""
    losses = built(method).loss(term)
    assert losses.shape == (len(term.logits),)
    return losses.mean()


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def slow_loss(case: Case, method: MethodConfig, view: str, chance: float) -> float:
    """Mean loss of the queries of ``view``: one sum over the queue per sample, one exponential at a time."""
    other = {"rgb": "mv", "mv": "rgb"}[view]
    target = other if method.part in (CMC, MVCGC) else view
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
            searched = case.keys if method.part is CoCLR else case.queries
            score = {q: dot(searched[within][i], case.queue[within][q]) for q in allowed}
            return set(sorted(allowed, key=lambda q: -score[q])[: method.k])

        if method.part is CoCLR:
            positives = nearest(other) | siblings
        elif method.part is MVCGC and method.mining is Mining.intersection:
            positives = nearest("rgb") & nearest("mv")
        elif method.part is MVCGC:
            positives = nearest("rgb") | nearest("mv")
        elif method.part is UberNCE:
            positives = {q for q in real if case.entries.label[q] == case.samples.label[i]}
        else:
            positives = set()
        query = case.queries[view][i]
        own = math.exp(dot(query, case.keys[target][i]) / TAU)
        weight = {q: math.exp(dot(query, case.queue[target][q]) / TAU) for q in real}
        below = own + sum(weight[q] for q in real if q in positives or q not in siblings)
        pulled = [own, *(weight[q] for q in positives)]
        if method.part is CoCLR and chance >= 0.1 and positives:
            del pulled[0]
        if method.part is UberNCE:
            total -= sum(math.log(one / below) for one in pulled) / len(pulled)
        else:
            total -= math.log(sum(pulled) / below)
    return total / len(case.samples.video)


def configs(method: type[Method], **own: st.SearchStrategy[object]) -> st.SearchStrategy[MethodConfig]:
    return st.builds(method.Config, tau=st.just(TAU), **own)


KS = st.integers(1, 8)
methods = st.one_of(
    configs(InfoNCE),
    configs(CMC),
    configs(UberNCE),
    configs(CoCLR, k=KS),
    configs(MVCGC, k=KS, mining=st.sampled_from(Mining)),
)


@settings(max_examples=150, deadline=None)
@given(
    method=methods,
    seed=st.integers(0, 2**31),
    sizes=st.tuples(st.integers(1, 7), st.integers(0, 2)),
    ids=st.sampled_from([1, 2, 4, 30]),
    chance=st.sampled_from([0.0, 0.099, 0.1, 0.999]),
)
def test_every_method_is_its_equation(
    method: MethodConfig, seed: int, sizes: tuple[int, int], ids: int, chance: float
) -> None:
    """Siblings in the queue (only siblings at ids = 1), an unfilled one, k beyond it."""
    entries, empty = sizes
    case = Case(seed, entries=entries, empty=min(empty, entries), ids=ids)
    for term in case.terms(method, chance=chance):
        expected = slow_loss(case, method, term.view, chance)
        assert loss(method, term).item() == pytest.approx(expected, abs=1e-10)


def test_both_directions_are_summed() -> None:
    case, method = Case(1), MVCGC.Config(k=3, tau=TAU)
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
        [loss(method, term).item() for term in case.terms(method)]
        for method in (MVCGC.Config(k=1, tau=TAU), CMC.Config(tau=TAU))
    ]
    assert losses[0] == losses[1]


def test_every_key_a_positive_costs_nothing() -> None:
    case = Case(3, ids=1000)
    method = MVCGC.Config(mining=Mining.union, k=50, tau=TAU)
    for term in case.terms(method):
        assert term.positives.all()
        assert loss(method, term).item() == 0.0


def test_one_view_alone_needs_no_other() -> None:
    case, method = Case(4), InfoNCE.Config(tau=TAU)
    both = case.terms(method)
    for vectors in (case.queries, case.keys, case.queue):
        del vectors["mv"]
    (alone,) = case.terms(method, trained=("rgb",))
    assert loss(method, alone) == loss(method, both[0])


def test_gradient_reaches_the_queries_only_through_the_logits() -> None:
    case = Case(5, ids=1000)
    for query in case.queries.values():
        query.requires_grad_()
    method = MVCGC.Config(k=3, tau=TAU)
    rgb, _ = case.terms(method)
    loss(method, rgb).backward()
    assert case.queries["rgb"].grad is not None
    assert case.queries["mv"].grad is None


def test_autocast_changes_nothing() -> None:
    case = Case(6, batch=8, entries=40, ids=1000)
    for vectors in (case.queries, case.keys, case.queue):
        vectors.update({view: vector.float() for view, vector in vectors.items()})
    method = MVCGC.Config(k=5, tau=TAU)
    expected = case.terms(method)
    with torch.autocast("cpu", torch.bfloat16):
        terms = case.terms(method)
    for term, other in zip(terms, expected, strict=True):
        assert torch.equal(term.logits, other.logits)
        assert torch.equal(term.positives, other.positives)


class Similar(Case):
    """One sample and five queue entries whose similarities within either view are given."""

    def __init__(
        self, rgb: list[float], mv: list[float], sample: tuple[int, int, int], *entries: tuple[int, ...]
    ):
        similarity = {"rgb": torch.tensor(rgb), "mv": torch.tensor(mv)}
        self.queries = {view: torch.ones(1, 1) for view in similarity}
        self.keys = self.queries
        self.queue = {view: row[:, None] for view, row in similarity.items()}
        self.samples, self.entries = (Ids(*torch.tensor(rows).T) for rows in ([sample], entries))

    def positives(self, method: MethodConfig, view: str = "rgb") -> set[int]:
        (term,) = self.terms(method, trained=(view,))
        assert term.positives[0, 0], "the own pair is always a positive"
        return set(term.positives[0, 1:].nonzero().flatten().tolist())


@pytest.fixture
def full() -> Similar:
    # Entry 0 is a sibling and the nearest in both views.
    entries = [(1, 0, 5), (2, 2, 5), (3, 3, 6), (4, 4, 6), (5, 5, 5)]
    return Similar([1.0, 0.9, 0.8, 0.2, 0.1], [1.0, 0.1, 0.8, 0.9, 0.2], (0, 0, 5), *entries)


UNION = MVCGC.Config(mining=Mining.union, k=2)


@pytest.mark.parametrize(
    ("method", "view", "expected"),
    [
        (InfoNCE.Config(), "rgb", set()),
        (CMC.Config(), "rgb", set()),
        (UberNCE.Config(), "rgb", {0, 1, 4}),
        (CoCLR.Config(k=2), "rgb", {0, 2, 3}),  # the sibling and what motion finds
        (CoCLR.Config(k=2), "mv", {0, 1, 2}),  # the sibling and what rgb finds
        (MVCGC.Config(k=2), "rgb", {2}),
        (MVCGC.Config(k=2), "mv", {2}),
        (UNION, "rgb", {1, 2, 3}),
    ],
)
def test_positives_of_each_method(full: Similar, method: MethodConfig, view: str, expected: set[int]) -> None:
    assert full.positives(method, view) == expected


def test_nothing_is_mined_until_the_queue_is_full(full: Similar) -> None:
    full.entries.video[4] = -1
    assert full.positives(UNION) == set()
    assert full.positives(CoCLR.Config(k=2)) == {0}  # the sibling needs no mining
    assert full.positives(UberNCE.Config()) == {0, 1}


def test_views_that_disagree_leave_an_empty_intersection() -> None:
    similarity = [0.9, 0.8, 0.1, 0.0]
    entries = [(number, number, -1) for number in range(1, 5)]
    case = Similar(similarity, [-value for value in similarity], (0, 0, -1), *entries)
    assert case.positives(MVCGC.Config(k=2)) == set()
    assert case.positives(UNION) == {0, 1, 2, 3}


def test_coclr_takes_turns_and_the_others_do_not() -> None:
    views = ("rgb", "mv")
    coclr = built(CoCLR.Config(cycles=2))
    turns = [coclr.trained(views, epoch, 8) for epoch in range(8)]
    assert turns == [("rgb",)] * 2 + [("mv",)] * 2 + [("rgb",)] * 2 + [("mv",)] * 2
    uneven = [built(CoCLR.Config()).trained(views, epoch, 3) for epoch in range(3)]
    assert uneven == [("rgb",), ("rgb",), ("mv",)]
    for method in (InfoNCE, CMC, MVCGC, UberNCE):
        assert built(method.Config()).trained(views, 0, 1) == views


def test_other_view() -> None:
    assert other_view("rgb", ("rgb", "mv")) == "mv"
    assert other_view("mv", ("rgb", "mv")) == "rgb"


@pytest.mark.parametrize("method", [CMC, CoCLR, MVCGC])
def test_methods_across_views_take_two(method: type[Method]) -> None:
    method.check(method.Config(), ["rgb", "mv"], 2)
    with pytest.raises(UserError, match=rf"method={method.label} compares 2 views, views=\[rgb\] has 1"):
        method.check(method.Config(), ["rgb"], 2)


@pytest.mark.parametrize("method", [InfoNCE, UberNCE])
def test_methods_within_a_view_take_any_number(method: type[Method]) -> None:
    method.check(method.Config(), ["rgb"], 1)
    method.check(method.Config(), ["rgb", "mv"], 1)


def test_no_stage_trains_a_method_without_second_stage() -> None:
    with pytest.raises(UserError, match="method=init: has no second stage to train"):
        InitOnly.check(InitOnly.Config(), ["rgb", "mv"], 1)


@pytest.mark.parametrize(
    ("method", "key", "value"),
    [
        *((method, "k", 0) for method in (MVCGC, CoCLR)),
        (CoCLR, "cycles", 0),
        *(
            (method, key, value)
            for method in (InitOnly, InfoNCE, CMC, CoCLR, MVCGC, UberNCE)
            for key, value in [
                ("queue", 0),
                ("dim", 0),
                ("tau", 0.0),
                ("tau", float("nan")),
                ("momentum", 1.0),
            ]
        ),
    ],
)
def test_impossible_settings_are_named(method: type[Method], key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"method\.{key}={value}"):
        method.Config(**{key: value})
