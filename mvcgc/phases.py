"""Names for the phases of a training step, for benchmarks to attribute time and traffic to.

Phases may be nested. Without an observer a phase does nothing.

`torch.profiler.record_function` does not replace them. `mvcgc bench scale` asks during a collective which
phase is open, which a profiler says only afterwards and without the bytes. `mvcgc bench train` counts CPU
time, which busy neighbours do not lengthen; the profiler has wall time alone, takes three seconds to read the
40,000 events of an S3D step of one second, and outside a profiler costs 9.4 us a phase instead of 0.4 us.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

Observer = Callable[[str], AbstractContextManager[None]]
"""Makes the context manager to wrap around the phase of that name."""

_observers: list[Observer] = []


def phase(name: str) -> AbstractContextManager[None]:
    """Return a context manager for the phase ``name`` of a step."""
    return _observers[-1](name) if _observers else nullcontext()


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Show the phases of this process to ``observer`` within ``with``; the innermost observer counts."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.pop()
