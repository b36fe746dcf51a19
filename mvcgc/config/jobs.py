"""From what the command line asks for to the rows of tables.

A job is a list of overrides: one without ``-m``, one per combination of listed values with it. A job that
names a sweep stands for all rows of that sweep, any other for one row. Jobs that differ in their seed alone
give the same rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mvcgc.config.columns import default_columns
from mvcgc.config.compose import Composer
from mvcgc.config.nodes import Setting
from mvcgc.config.schema import Config, RowConfig
from mvcgc.errors import UserError
from mvcgc.method.init_only import InitOnly
from mvcgc.plan import Experiment, Row, TableSpec
from mvcgc.stages.evaluate.kinds import Retrieve

SINGLE = "run"
"""Name of the table of jobs that name no sweep."""
INIT_ROW = InitOnly.name

# What a row's name need not repeat: it says the method itself, its table the scale, its line the seed.
_UNNAMED = ("seed", "sweeps", "method", "scale")
# What the name of a row tells of a run without -m, if it was given.
_TELLING = ("method", "backbone", "motion", "clip", "augment", "init", "cross")
# They belong to the command as a whole.
_COMMON = ("root", "results", "tracking", "slurm")


@dataclass
class TableRequest:
    """One table to fill: the name of its files, its title, its scale, what it shows, its rows."""

    name: str
    title: str
    scale: str
    spec: TableSpec
    rows: list[Row] = field(default_factory=list)
    _known: set[tuple[str, int]] = field(default_factory=set)

    def add(self, row: Row) -> None:
        """Append a row. Raises UserError if it is there already."""
        if (row.name, row.seed) in self._known:
            raise UserError(f"the table {self.name} has the row {row.name!r} with seed={row.seed} twice")
        self._known.add((row.name, row.seed))
        self.rows.append(row)


class Jobs:
    """The jobs of one command, composed and checked."""

    def __init__(self, composer: Composer, jobs: Sequence[Sequence[str]], single: bool) -> None:
        """``single`` without ``-m``. Raises UserError for what is wrong with the command as a whole."""
        self._composer, self._jobs, self._single = composer, jobs, single
        settings = [[composer.setting(text) for text in job] for job in jobs]
        self._told = _telling(settings[0]) if single else _varying(settings)
        for key in self._told:
            if key.partition(".")[0] in _COMMON:
                raise UserError(f"{key} has several values: all rows of a command share it, give it one")
        self.config: Config = composer.compose(jobs[0])

    def tables(self) -> list[TableRequest]:
        """The tables that the jobs ask for, in their order.

        A single run gets the row ``Init.`` to compare with: it shares its stages, so it costs little.
        Raises UserError for what cannot be composed, for a sweep without ``-m``, and where a row and the
        command line disagree.
        """
        tables: dict[tuple[str, str, str], TableRequest] = {}
        for job in self._jobs:
            sweep = self._composer.choice(job, "sweeps")
            if self._single and sweep:
                raise UserError(
                    f"sweeps={sweep}: a sweep has many rows, so it takes -m: python -m mvcgc.run -m ..."
                )
            scale = self._composer.choice(job, "scale") or ""
            rows = self._sweep_rows(job, sweep) if sweep else self._own_rows(job)
            name = sweep or SINGLE
            own = _own_data(rows[0].experiment)
            key = (name, own, scale)
            if key not in tables:
                tables[key] = self._table(job, f"{name}-{own}" if own else name, scale)
            for row in rows:
                tables[key].add(row)
        for (name, *_), table in tables.items():
            _settle_baseline(table, single=name == SINGLE)
            _check_protocol(table)
        return list(tables.values())

    def _table(self, job: Sequence[str], name: str, scale: str) -> TableRequest:
        config = self._composer.compose(job)
        spec = config.sweep.table
        if not spec.columns:
            spec = replace(spec, columns=default_columns(config.experiment))
        title = config.sweep.title or "Comparison"
        if not config.sweep.title or _own_data(config.experiment):
            title = f"{title} on {config.dataset.name}"
        return TableRequest(name, title, scale, spec)

    def _sweep_rows(self, job: Sequence[str], sweep: str) -> list[Row]:
        rows = self._composer.compose(job).sweep.rows
        if not rows:
            raise UserError(f"sweeps={sweep}: its file lists no rows under sweep.rows")
        return [self._sweep_row(job, sweep, row) for row in rows]

    def _sweep_row(self, job: Sequence[str], sweep: str, row: RowConfig) -> Row:
        where = f"row {row.name!r} of {sweep}"
        try:
            for text in row.overrides:
                setting = self._composer.setting(text)
                if setting.key == "scale":
                    raise UserError(f"{text}: a table has one scale; leave it to the command line")
                self._check_agreement(setting, job)
            config = self._composer.compose([*job, *row.overrides])
            return _row(self._name(row.name, job), config, row.paper, row.view)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error

    def _check_agreement(self, own: Setting, job: Sequence[str]) -> None:
        """Raise UserError if the command line says otherwise: the row would not be what its name says."""
        for typed in map(self._composer.setting, job):
            if typed.key == own.key:
                agreed = typed.value == own.value
            elif own.is_group and not typed.is_group and typed.component == own.key:
                agreed = self._composer.option(own).get(typed.key, typed.value) == typed.value
            else:
                agreed = True
            if not agreed:
                remedy = "leave it out of the command line or of the sweep"
                raise UserError(f"{typed.text} contradicts {own.text}; {remedy}")

    def _own_rows(self, job: Sequence[str]) -> list[Row]:
        config = self._composer.compose(job)
        title = config.name or config.method.part(config.method).title
        row = _row(title if self._single and config.name else self._name(title, job), config)
        if not self._single or not config.downstream.tasks or not config.experiment.has_cross:
            return [row]
        return [replace(row, name=INIT_ROW, experiment=_initialised(row.experiment)), row]

    def _name(self, name: str, job: Sequence[str]) -> str:
        """``name`` with what was given for this job; of several jobs, with what tells it from the others."""
        told = [setting.text for setting in map(self._composer.setting, job) if setting.key in self._told]
        return f"{name} [{', '.join(told)}]" if told else name


def _row(name: str, config: Config, paper: str | None = None, view: str | None = None) -> Row:
    return Row(name, config.experiment, config.resources, paper, view)


def _initialised(experiment: Experiment) -> Experiment:
    """The experiment without its second stage: it shares the initialisations."""
    method = experiment.method
    only = InitOnly.Config(method.tau, method.queue, method.momentum, method.dim)
    return replace(experiment, method=only)


def _varying(jobs: Sequence[Sequence[Setting]]) -> set[str]:
    values: dict[str, set[str]] = {}
    for job in jobs:
        for setting in job:
            values.setdefault(setting.key, set()).add(setting.text)
    return {key for key, texts in values.items() if len(texts) > 1 and key not in _UNNAMED}


def _telling(job: Sequence[Setting]) -> set[str]:
    return {setting.key for setting in job if setting.component in _TELLING and setting.key not in _UNNAMED}


def _check_protocol(table: TableRequest) -> None:
    """Raise UserError if rows are retrieved by different protocols: their R@k cannot stand in one table."""
    protocols: dict[str, str] = {}
    for row in table.rows:
        kind = row.experiment.downstream.kinds.get("retrieve")
        if isinstance(kind, Retrieve.Config) and "retrieve" in row.experiment.downstream.tasks:
            protocols.setdefault(kind.protocol.value, row.name)
    if len(protocols) > 1:
        said = " and ".join(f"{protocol} (row {name!r})" for protocol, name in protocols.items())
        raise UserError(
            f"downstream.retrieve.protocol: the table {table.name} mixes {said}; give each a table of its own"
        )


def _own_data(experiment: Experiment) -> str:
    """Return the name of a dataset of the user's own, which its tables carry; '' for a public one."""
    dataset = experiment.dataset
    return "" if dataset.part.public else dataset.name


def _settle_baseline(table: TableRequest, *, single: bool) -> None:
    names = {row.name for row in table.rows}
    if single and INIT_ROW in names:
        table.spec.baseline = INIT_ROW
    if table.spec.baseline is not None and table.spec.baseline not in names:
        raise UserError(f"sweep.baseline={table.spec.baseline}: no row of {table.name} has this name")
