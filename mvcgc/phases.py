"""Names for the parts of a training step, so that a measurement can tell them apart.

Outside a measurement a phase costs nothing and does nothing. Phases may lie within each other.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

Observer = Callable[[str], AbstractContextManager[None]]
"""What is wrapped around each phase, given its name."""

_observers: list[Observer] = []


def phase(name: str) -> AbstractContextManager[None]:
    """The part ``name`` of a step: what runs within it is counted as that."""
    return _observers[-1](name) if _observers else nullcontext()


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Have ``observer`` see the phases of this process meanwhile."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.pop()
