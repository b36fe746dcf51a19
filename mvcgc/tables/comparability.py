"""What a table may not mix without saying so: datasets, versions of the code, scales, machines of times."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

from mvcgc.plan import RowRecord, SweepRecord
from mvcgc.tables.model import Note

# Parts of an experiment that a comparison of methods, views and motion holds fixed: its scale.
_FIXED = ("clip", "augment", "backbone", "init", "cross", "downstream")
# Of the method what initialisations share too; with another value a row starts from other checkpoints.
_FIXED_OF_METHOD = ("tau", "queue", "momentum", "dim")


def comparability_notes(
    record: SweepRecord, rows: Mapping[str, Sequence[RowRecord]], machines: Mapping[str, str]
) -> tuple[dict[str, tuple[str, ...]], list[Note]]:
    """Footnotes for rows that were not computed as most others were, and their marks by the rows' names.

    A row counts with all of its stages, so that a table of one dataset does not hide that encoders saw
    others. What only some rows have is compared among these. ``machines`` are those that times were taken on,
    by the ids of the stages.
    """
    facts = {name: _facts(record, trials, machines) for name, trials in rows.items()}
    deviating: dict[str, list[str]] = defaultdict(list)
    for what in dict.fromkeys(what for found in facts.values() for what in found):
        counts = Counter(value for found in facts.values() for value in sorted(found.get(what, ())))
        usual = counts.most_common(1)[0][0]
        for name, found in facts.items():
            others = sorted(found.get(what, set()) - {usual})
            if others:
                deviating[f"{what} is {', '.join(others)}; in other rows it is {usual}."].append(name)
    marks: dict[str, tuple[str, ...]] = dict.fromkeys(rows, ())
    notes = []
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for text, names in deviating.items():
        alike[tuple(names)].append(text)
    for index, (rows_alike, texts) in enumerate(alike.items()):
        mark = ascii_lowercase[index % 26] * (1 + index // 26)
        notes.append(Note(mark, " ".join(texts)))
        for name in rows_alike:
            marks[name] = (*marks[name], mark)
    return marks, notes


def _facts(
    record: SweepRecord, trials: Sequence[RowRecord], machines: Mapping[str, str]
) -> dict[str, set[str]]:
    """All values that the seeds of a row have, by what they are values of."""
    facts: dict[str, set[str]] = defaultdict(set)
    for row in trials:
        for name, key in row.stages.items():
            stage = record.stages[key]
            facts[f"The digest of the data of {name}"].add(stage.dataset_digest[:12])
            facts[f"The code version of {name}"].add(str(stage.code_version))
            if key in machines:
                facts[f"The machine of {name}"].add(machines[key])
        experiment = record.config(row)
        for part in _FIXED:
            for key, value in _leaves(part, experiment.get(part)):
                facts[key].add(str(value))
        for name in _FIXED_OF_METHOD:
            facts[f"method.{name}"].add(str(experiment["method"].get(name)))
    return facts


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}", inner)
    else:
        yield key, value
