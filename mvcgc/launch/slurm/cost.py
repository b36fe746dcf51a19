"""The cost of a graph on the cluster: GPU-hours, or core-hours of stages without a GPU."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mvcgc.errors import UserError
from mvcgc.launch.slurm.batch_script import gpus_of
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.plan import Action, Graph, Speeds, Stage, Verdict

NAMED = 3
"""Stages of unknown speed that a message names at most."""


@dataclass(frozen=True)
class Hours:
    """Sums over a graph: every row on its own, with shared stages, and still to run."""

    alone: float = 0.0
    shared: float = 0.0
    to_run: float = 0.0

    def plus(self, hours: float, rows: int, still: bool) -> "Hours":
        """Return the sums with one more stage, which ``rows`` rows need."""
        return Hours(self.alone + hours * rows, self.shared + hours, self.to_run + hours * still)

    def line(self, unit: str) -> str:
        """Return the sums as text."""
        saved = 100 * (1 - self.shared / self.alone)
        sums = [_rounded(hours) for hours in (self.alone, self.shared, self.to_run)]
        return (
            f"{unit}: {sums[0]} if every row ran alone, {sums[1]} shared ({saved:.0f} % saved), "
            f"{sums[2]} still to run"
        )


@dataclass(frozen=True)
class Estimate:
    """Hours of a graph, without the ``unknown`` stages: still to run, at a speed that nobody measured."""

    gpu: Hours
    core: Hours
    unknown: list[Stage]

    @property
    def lines(self) -> list[str]:
        """The estimate as text, for a plan."""
        lines = [self.gpu.line("GPU-hours")] if self.gpu.alone else []
        lines += [self.core.line("core-hours")] if self.core.alone else []
        if self.unknown:
            named = ", ".join(dict.fromkeys(stage.name for stage in self.unknown[:NAMED]))
            more = ", ..." if len(self.unknown) > NAMED else ""
            lines.append(
                f"hours unknown of {len(self.unknown)} stages still to run ({named}{more}): none like them "
                "has finished; give hydra.launcher.clips_per_s, of one network on one rank"
            )
        return lines


def estimate(graph: Graph, verdicts: Mapping[str, Verdict], settings: SlurmConfig, root: Path) -> Estimate:
    """Return the hours of all stages, by the given clips per second or those of earlier stages."""
    speeds = Speeds(root, settings.clips_per_s)
    gpu, core, unknown = Hours(), Hours(), []
    for key, stage in graph.stages.items():
        still = verdicts[key].action is Action.SUBMIT
        seconds = speeds.seconds(stage)
        if seconds is None:
            unknown += [stage] if still else []
            continue
        rows, gpus = len(graph.users[key]), gpus_of(stage.runtime, settings)
        if gpus:
            gpu = gpu.plus(seconds / 3600 * gpus, rows, still)
        else:
            core = core.plus(seconds / 3600 * stage.cores, rows, still)
    return Estimate(gpu, core, unknown)


def check_budget(graph: Graph, verdicts: Mapping[str, Verdict], settings: SlurmConfig, root: Path) -> None:
    """Raise UserError if what is still to run would take more GPU-hours than the budget has."""
    budget = settings.budget_gpu_hours
    if budget is None:
        return
    found = estimate(graph, verdicts, settings, root)
    key = f"hydra.launcher.budget_gpu_hours={budget:g}"
    if any(gpus_of(stage.runtime, settings) for stage in found.unknown):
        raise UserError(f"{key}: {found.lines[-1]}")
    if found.gpu.to_run > budget:
        raise UserError(f"{key}: what is still to run would take {_rounded(found.gpu.to_run)} GPU-hours")


def _rounded(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"
