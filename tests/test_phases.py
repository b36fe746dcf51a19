"""Phases are seen by who asks, and by nobody else."""

from collections.abc import Iterator
from contextlib import contextmanager

from mvcgc.phases import observed, phase


def test_an_observer_sees_phases_while_it_is_there() -> None:
    seen: list[str] = []

    @contextmanager
    def observer(name: str) -> Iterator[None]:
        seen.append(f"{name}<")
        yield
        seen.append(f">{name}")

    with observed(observer), phase("forward"), phase("shuffle"):
        pass
    with phase("backward"):
        pass
    assert seen == ["forward<", "shuffle<", ">shuffle", ">forward"]
