"""Writing a table in all its formats."""

from dataclasses import dataclass
from pathlib import Path

from mvcgc.files import write_atomic
from mvcgc.plan import SweepRecord, read_record
from mvcgc.tables.build import table_of
from mvcgc.tables.csv_format import to_csv
from mvcgc.tables.html import to_html
from mvcgc.tables.latex import to_latex
from mvcgc.tables.markdown import to_markdown
from mvcgc.tables.model import Table

FORMATS = {"md": to_markdown, "csv": to_csv, "tex": to_latex, "html": to_html}


@dataclass(frozen=True)
class Written:
    """A table and its files."""

    table: Table
    paths: list[Path]


def write_tables(root: Path, record: Path | SweepRecord, out: Path) -> Written:
    """Write ``out/<scale>/<sweep>.{md,csv,tex,html}``, each atomically.

    The bytes depend on the record and its stage folders alone. Raises UserError as `table_of` does.
    """
    if isinstance(record, Path):
        record = read_record(record)
    table = table_of(root, record)
    paths = []
    for suffix, render in FORMATS.items():
        path = out / table.scale / f"{table.sweep}.{suffix}"
        write_atomic(path, render(table))
        paths.append(path)
    return Written(table, paths)
