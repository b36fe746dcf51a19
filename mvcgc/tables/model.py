"""What a comparison table holds: figures of every seed, and what follows from them. No text, no files."""

from dataclasses import dataclass

from mvcgc.metrics import mean_std
from mvcgc.plan import Column, State
from mvcgc.tables.cost import Cost


@dataclass(frozen=True)
class Trial:
    """One seed's figure: ``value`` only where the stage is finished and reports it."""

    seed: int
    state: State
    value: float | None
    fingerprint: str

    def __post_init__(self) -> None:
        assert self.value is None or self.state is State.FINISHED, "a figure of a stage that is not finished"


@dataclass(frozen=True)
class Difference:
    """Mean of the differences to the baseline of ``pairs`` seeds; ``low`` and ``high`` bound it.

    They are None where it is not known which videos were hit.
    """

    mean: float
    low: float | None
    high: float | None
    pairs: int


@dataclass(frozen=True)
class Cell:
    """One row's figures in one column, by seed; the paper's own figure; the difference to the baseline."""

    trials: tuple[Trial, ...] = ()
    paper: float | None = None
    difference: Difference | None = None
    best: bool = False

    @property
    def values(self) -> list[float]:
        """The figures there are, in the order of the seeds."""
        return [trial.value for trial in self.trials if trial.value is not None]

    @property
    def mean(self) -> float | None:
        """Mean over the seeds; None without a figure."""
        return mean_std(self.values)[0] if self.values else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the seeds; None for fewer than two."""
        return mean_std(self.values)[1] if self.values else None

    @property
    def planned(self) -> int:
        """Return how many seeds there are to be."""
        return len(self.trials)

    def count(self, state: State) -> int:
        """Return how many seeds stand so."""
        return sum(trial.state is state for trial in self.trials)


@dataclass(frozen=True)
class Line:
    """A row of the table; one of literature holds the paper's figures alone. ``marks`` point to footnotes."""

    name: str
    cells: tuple[Cell, ...]
    literature: bool = False
    baseline: bool = False
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """A footnote; ``mark`` is empty if it is about the whole table."""

    mark: str
    text: str


@dataclass(frozen=True)
class Table:
    """A comparison.

    ``code`` names the versions of the stages' code, ``data`` the digests of the manifests they read;
    ``finished_ms`` is when the last figure was made, in milliseconds since 1970, None if there is none yet;
    ``cost`` what all figures have cost.
    """

    sweep: str
    title: str
    scale: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    seeds: tuple[int, ...]
    baseline: str | None
    paper_title: str | None
    notes: tuple[Note, ...]
    command: str
    commit: str
    code: str
    data: tuple[str, ...]
    finished_ms: int | None
    cost: Cost

    def __post_init__(self) -> None:
        for line in self.lines:
            assert len(line.cells) == len(self.columns), f"{line.name} has {len(line.cells)} cells"

    def has_difference(self, column: int) -> bool:
        """Return whether any row has a difference to the baseline there."""
        return any(line.cells[column].difference is not None for line in self.lines)

    def has_paper(self, column: int) -> bool:
        """Return whether the paper has any figure there."""
        return any(line.cells[column].paper is not None for line in self.lines)
