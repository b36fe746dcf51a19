"""A graph for people: each stage with its verdict and reason, what it waits for, who needs it, its cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mvcgc.plan.graph import Graph, Stage
from mvcgc.plan.verdict import Action, Verdict

COLUMNS = ("stage", "fingerprint", "verdict", "reason", "after", "needed by", "clip-epochs")
STYLES = {Action.CACHED: "green", Action.ATTACHED: "cyan", Action.SUBMIT: "yellow", Action.UNNEEDED: "dim"}
# Of the rows that need a stage, so many are named, and by so many characters.
NAMED_ROWS = 2
NAME_WIDTH = 30


@dataclass(frozen=True)
class Totals:
    """Sums over a graph: alone (every row on its own), shared, and what is still to run."""

    alone: int
    shared: int
    to_run: int

    @property
    def saved_percent(self) -> float:
        """Return what sharing saves of the work of the rows on their own."""
        return 100.0 * (1 - self.shared / self.alone) if self.alone else 0.0


def totals(graph: Graph, verdicts: Mapping[str, Verdict], measure: Callable[[Stage], int]) -> Totals:
    """Sums of ``measure`` over the graph's stages."""
    return Totals(
        alone=sum(measure(stage) for planned in graph.rows for stage in planned.stages.values()),
        shared=sum(measure(stage) for stage in graph.stages.values()),
        to_run=sum(
            measure(stage) for key, stage in graph.stages.items() if verdicts[key].action is Action.SUBMIT
        ),
    )


def clip_epochs(stage: Stage) -> int:
    """A measure: videos shown to learning networks."""
    return stage.cost.clip_epochs


def pretraining_network_epochs(stage: Stage) -> int:
    """A measure: epochs of pre-training, once for each network that learns."""
    return stage.cost.network_epochs if stage.program.pretrains else 0


def text(graph: Graph, verdicts: Mapping[str, Verdict]) -> str:
    """The plan in plain lines, for logs."""
    lines = [COLUMNS, *_lines(graph, verdicts)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([*table, *_summary(graph, verdicts)]) + "\n"


def renderable(graph: Graph, verdicts: Mapping[str, Verdict]) -> RenderableType:
    """The plan for a terminal."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column == "clip-epochs" else "left", overflow="fold")
    for line, key in zip(_lines(graph, verdicts), graph.stages, strict=True):
        cells = [Text(cell) for cell in line]
        cells[2].stylize(STYLES[verdicts[key].action])
        table.add_row(*cells)
    return Stack(table, *(Text(line) for line in _summary(graph, verdicts)))


def _lines(graph: Graph, verdicts: Mapping[str, Verdict]) -> list[tuple[str, ...]]:
    return [
        (
            stage.name,
            stage.fingerprint,
            verdicts[key].action.value,
            verdicts[key].reason,
            " ".join(sorted({parent.name for parent in stage.parents.values()})) or "-",
            _needed_by(graph, key),
            f"{stage.cost.clip_epochs:,}" if stage.cost.networks else "-",
        )
        for key, stage in graph.stages.items()
    ]


def _needed_by(graph: Graph, key: str) -> str:
    rows = graph.users[key]
    named = ", ".join(f"{_cut(row.name)} [{row.seed}]" for row in rows[:NAMED_ROWS])
    return named if len(rows) <= NAMED_ROWS else f"{named} and {len(rows) - NAMED_ROWS} more"


def _summary(graph: Graph, verdicts: Mapping[str, Verdict]) -> list[str]:
    count = {action: sum(verdict.action is action for verdict in verdicts.values()) for action in Action}
    counted = ", ".join(f"{number} {action.value}" for action, number in count.items() if number)
    seeds = len({planned.row.seed for planned in graph.rows})
    names = len({planned.row.name for planned in graph.rows})
    work = totals(graph, verdicts, clip_epochs)
    epochs = totals(graph, verdicts, pretraining_network_epochs)
    rows = f"{_counted(names, 'row')} x {_counted(seeds, 'seed')}"
    return [
        "",
        f"{rows}: {_counted(len(graph.stages), 'stage')}, {counted}",
        _cost_line("clip-epochs", work),
        _cost_line("network-epochs of pre-training", epochs),
        *(f"note: {note}" for note in graph.notes),
    ]


def _cut(name: str) -> str:
    return name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 3]}..."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cost_line(unit: str, sums: Totals) -> str:
    return (
        f"{unit}: {sums.alone:,} if every row ran alone, {sums.shared:,} shared "
        f"({sums.saved_percent:.0f} % saved), {sums.to_run:,} still to run"
    )
