"""One command from its rows to its tables: data, plan, launch, tables, MLflow."""

import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from rich.console import Console

import mvcgc
from mvcgc import plan
from mvcgc.collect import CollectError, collect
from mvcgc.config import Config, TableRequest
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.index.prepare import is_scanned, prepare
from mvcgc.errors import UserError
from mvcgc.launch.local import execute as local
from mvcgc.launch.local.machine import Capacity
from mvcgc.launch.report import Report
from mvcgc.launch.slurm import cost, execute
from mvcgc.launch.slurm.batch_script import resized
from mvcgc.launch.slurm.config import UNUSED, SlurmConfig
from mvcgc.launch.slurm.preview import is_for_slurm, scripts
from mvcgc.launch.slurm.queue import QueueUnavailable
from mvcgc.launch.slurm.snapshot import snapshot
from mvcgc.parts import Part, used_in
from mvcgc.plots import check_plots, write_plots
from mvcgc.stages.provenance import code_state
from mvcgc.tables import check_paper, print_table, refresh, write_tables

COMMAND = ("python", "-m", "mvcgc.run")
LOG_WIDTH = 200
"""Columns of a table that goes to a file or a pipe, where nothing says how many there are."""


class Action(Enum):
    """``local`` runs the stages on this machine, ``slurm`` as jobs of a cluster, ``plan`` shows them."""

    local = "local"
    slurm = "slurm"
    plan = "plan"


class StagesFailed(Exception):
    """Some stages did not finish; everything that can be said of it has been printed."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"some stages did not finish (exit code {exit_code})")
        self.exit_code = exit_code


def carry_out(
    tables: Sequence[TableRequest],
    config: Config,
    action: Action,
    settings: SlurmConfig,
    why: str | None = None,
) -> None:
    """Act on the rows of all ``tables`` as one graph; ``config`` says where files go.

    ``settings`` are those of ``slurm``. ``why``, with a plan, names a stage by its name or id: what makes it
    differ is shown instead.

    Raises UserError before anything starts if something cannot work, `StagesFailed` at the end if some stages
    failed or the user stopped them.
    """
    for table in tables:
        columns = [column.paper for column in table.spec.columns]
        check_paper(table.spec.paper_table, columns, [row.paper for row in table.rows])
        check_plots(table.spec, table.rows)
    rows = resized([row for table in tables for row in table.rows], settings)
    root = Path(config.root)
    manifests = {need: _manifest(need, root, action) for need in plan.dataset_needs(rows)}
    graph = plan.build(rows, manifests)
    if action is Action.plan:
        if why is None:
            _show_plan(graph, root, settings)
        else:
            _explain(graph, root, why)
        return
    if action is Action.slurm:
        cost.check_budget(graph, plan.judge(graph, root), settings, root)
    records = _write_records(tables, graph, root)
    report = _execute(graph, root, action, settings, [record.id for record in records])
    if report.left:
        print(f"left to the cluster: {len(report.left)} of {len(graph.stages)} stages")
        _say_next(config.root, ("status", "collect", "tables", "cancel"))
        if report.exit_code:
            raise StagesFailed(report.exit_code)
        return
    write_and_print(records, root, Path(config.results))
    if config.tracking.enabled:
        _collect(config, root)
    _say_next(config.root, ("status", "logs STAGE", "ui"))
    if report.exit_code:
        raise StagesFailed(report.exit_code)


def _execute(
    graph: plan.Graph, root: Path, action: Action, settings: SlurmConfig, sweeps: Sequence[str]
) -> Report:
    purpose, report = ",".join(sweeps), Report()
    try:
        if action is Action.slurm:
            report = _on_slurm(graph, root, settings, purpose)
        else:
            report = local.execute(graph, root, purpose=purpose)
    finally:
        if not report.left:  # jobs that go on by themselves still have someone who wants them
            for sweep in sweeps:
                plan.active_sweeps.end(root, sweep)
    return report


def _on_slurm(graph: plan.Graph, root: Path, settings: SlurmConfig, purpose: str) -> Report:
    for key in UNUSED:
        if getattr(settings, key) is not None:
            print(f"warning: hydra.launcher.{key} means nothing here", file=sys.stderr)
    try:
        code = snapshot(root, _parts(graph)) if settings.snapshot else None
        return execute.execute(graph, root, settings, purpose=purpose, code=code)
    except QueueUnavailable as error:
        raise UserError(f"hydra/launcher=slurm: {error}") from error


def _parts(graph: plan.Graph) -> set[type[Part]]:
    """All parts that the graph's rows use."""
    return {part for planned in graph.rows for part in used_in(planned.row.experiment)}


def write_and_print(records: Sequence[plan.SweepRecord], root: Path, out: Path) -> None:
    """Write tables and plots of sweeps below ``out``, as far as their stages have come, and into its page;
    print the tables.
    """
    console = Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH)
    for record in records:
        written = write_tables(root, record, out)
        print_table(written.table, console)
        drawn = write_plots(root, record, written.table, out)
        print(f"written to {', '.join(str(path) for path in (*written.paths, *drawn.paths))}")
        print(*drawn.missing, sep="\n")
    try:
        if page := refresh(out):
            print(f"tables renewed in {page}")
    except UserError as error:  # the tables themselves are safe
        print(f"warning: {error}", file=sys.stderr)


def _show_plan(graph: plan.Graph, root: Path, settings: SlurmConfig) -> None:
    """A table on a terminal, plain lines elsewhere; what it costs; the scripts, if a cluster was named."""
    verdicts = plan.judge(graph, root)
    if sys.stdout.isatty():
        Console().print(plan.renderable(graph, verdicts))
    else:
        sys.stdout.write(plan.text(graph, verdicts))
    for line in cost.estimate(graph, verdicts, settings, root).lines:
        print(line)
    if is_for_slurm(settings):
        print("", *scripts(graph, verdicts, settings, root), sep="\n")
    cost.check_budget(graph, verdicts, settings, root)


def _explain(graph: plan.Graph, root: Path, wanted: str) -> None:
    stages = [stage for stage in graph.stages.values() if wanted in (stage.name, stage.id)]
    if not stages:
        names = dict.fromkeys(stage.name for stage in graph.stages.values())
        raise UserError(f"--why {wanted}: the plan has no such stage; it has {', '.join(names)}")
    print("\n".join(str(plan.why(stage, root)) for stage in stages))


def _manifest(need: plan.Need, root: Path, action: Action) -> Manifest | None:
    """A plan changes nothing, so it takes a dataset that was not scanned yet as unknown."""
    store = plan.manifests_folder(root)
    if action is Action.plan and not is_scanned(need.config, store):
        return None
    return prepare(
        need.config,
        store,
        need.min_frames,
        need.needs_vectors,
        Capacity.here().cores,
        say=lambda text: print(text, end="", file=sys.stderr, flush=True),
    )


def _write_records(tables: Sequence[TableRequest], graph: plan.Graph, root: Path) -> list[plan.SweepRecord]:
    """One record per table: what status, collect and tables need, whatever becomes of this process."""
    code = code_state(Path(mvcgc.__file__).parent)
    records = []
    planned = iter(graph.rows)
    for table in tables:
        origin = plan.Origin(
            name=table.name,
            title=table.title,
            scale=table.scale,
            command=[*COMMAND, *sys.argv[1:]],
            commit=code["commit"],
            dirty=bool(code["diff"]),
            version=mvcgc.__version__,
        )
        record = plan.record_of([next(planned) for _ in table.rows], origin, table.spec)
        plan.write_record(root, record)
        plan.active_sweeps.begin(root, record)
        records.append(record)
    return records


def _collect(config: Config, root: Path) -> None:
    """Bring the journals to MLflow; a view that cannot be reached fails no run."""
    try:
        collect(root, config.tracking, results=Path(config.results))
    except CollectError as error:
        print(f"warning: {error}; `mvcgc collect` catches up", file=sys.stderr)


def _say_next(root: str, commands: Sequence[str]) -> None:
    mvcgc_there = "mvcgc" if root == Config.root else f"mvcgc --root {root}"
    said = (f"{mvcgc_there} {what}" for what in commands)
    print(f"next: {' | '.join(said)} | python -m mvcgc.run --help")
    print(
        "      python -m mvcgc.run -m sweeps=ablation_loss seed=0,1,2   (hydra/launcher=plan shows its cost)"
    )
