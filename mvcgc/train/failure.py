"""What stops a training that has gone wrong."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from mvcgc import dist
from mvcgc.train.arrival import Arrival


class NotFinite(RuntimeError):
    """The loss or its gradient became infinite or NaN; the message names the step and the batch's videos."""


@dataclass(frozen=True)
class _Seen:
    """What a step leaves to be looked at; ``is_sound`` waits for the step's end."""

    step: int
    losses: list[Tensor]
    names: list[Sequence[str]]
    sound: Arrival

    def is_sound(self) -> bool:
        return bool(self.sound.values()["sound"])


class Lookout:
    """Notices steps that were not finite, one step late: so the host never waits for the step under way.

    A broken step must not change the parameters meanwhile; the next one may.
    """

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=2)

    def add(self, step: int, losses: list[Tensor], names: list[Sequence[str]], sound: Tensor) -> None:
        """A step, by number, with this rank's losses and video names by micro-batch; ``sound`` is a bool."""
        self._seen.append(_Seen(step, losses, names, Arrival({"sound": sound})))

    def broken(self, newest: bool) -> bool:
        """Whether a step was not sound on this rank; the ``newest`` step is only looked at if asked to."""
        return any(not seen.is_sound() for seen in list(self._seen)[: None if newest else -1])

    def failure(self) -> NotFinite:
        """The error for the first broken step; all ranks call it once any says that there is one.

        It names the videos of the micro-batches whose loss is not finite, or of all if only the gradient is
        not.
        """
        sound = dist.all_gather_object([seen.is_sound() for seen in self._seen])
        seen = self._seen[[all(ranks) for ranks in zip(*sound, strict=True)].index(False)]
        step, parts = seen.step, list(zip(seen.losses, seen.names, strict=True))
        own = [name for loss, part in parts if not loss.isfinite() for name in part]
        found = [name for part in dist.all_gather_object(own) for name in part]
        if found:
            return NotFinite(
                f"the loss is not finite at step {step}; videos of the batch: {', '.join(found)}"
            )
        whole = dist.all_gather_object([name for _, part in parts for name in part])
        videos = ", ".join(name for part in whole for name in part)
        return NotFinite(
            f"the gradient of a finite loss is not finite at step {step}; videos of the batch: {videos}"
        )
