"""The table of one sweep, whole, in every format: a change of a single character shows."""

import io
from pathlib import Path

import pytest
import table_factories
from rich.console import Console

from mvcgc.plan import list_records
from mvcgc.tables import print_table, table_of, write_tables

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("suffix", ["md", "csv", "tex", "html"])
def test_file(tmp_path: Path, suffix: str) -> None:
    sweep = table_factories.make(tmp_path / "runs")
    written = write_tables(sweep.root, list_records(sweep.root)[0], tmp_path / "results")
    path = tmp_path / "results" / "demo" / f"ablation_loss.{suffix}"
    assert path in written.paths
    assert path.read_text() == (GOLDEN / f"table.{suffix}").read_text()


@pytest.mark.parametrize("width", [80, 130])
def test_terminal(tmp_path: Path, width: int) -> None:
    sweep = table_factories.make(tmp_path)
    file = io.StringIO()
    print_table(table_of(tmp_path, sweep.record), Console(file=file, width=width))
    assert file.getvalue() == (GOLDEN / f"terminal{width}.txt").read_text()


def test_same_bytes_when_nothing_changed(tmp_path: Path) -> None:
    sweep = table_factories.make(tmp_path / "runs")
    first = write_tables(sweep.root, sweep.record, tmp_path / "a")
    again = write_tables(sweep.root, sweep.record, tmp_path / "b")
    assert [p.read_bytes() for p in first.paths] == [p.read_bytes() for p in again.paths]
