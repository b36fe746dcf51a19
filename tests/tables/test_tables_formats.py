"""Words, numbers, and that no name can break a format."""

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
import table_factories
from fake_sweep import FakeSweep
from hypothesis import example, given
from hypothesis import strategies as st

from mvcgc.plan import Column, State
from mvcgc.tables import Cell, Line, Table, Trial, table_of, text
from mvcgc.tables.cost import Cost
from mvcgc.tables.csv_format import to_csv
from mvcgc.tables.html import to_html
from mvcgc.tables.latex import to_latex
from mvcgc.tables.markdown import escape, to_markdown

ANY_NAME = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]))


def named(name: str) -> Table:
    """A table of one row, both called ``name``, of which nothing has run."""
    line = Line(name, (Cell((Trial(0, State.MISSING, None, ""),)),))
    columns = (Column("linear/demo", "top1_rgb", name),)
    nothing = {"baseline": None, "paper_title": None, "notes": (), "finished_ms": None}
    told = {"command": name, "commit": "", "code": "", "data": ()}
    return Table("sweep", name, "demo", columns, (line,), seeds=(0,), cost=Cost(0, 0.0), **nothing, **told)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """The table with every kind of cell."""
    return table_of(tmp_path, table_factories.make(tmp_path).record)


@pytest.mark.parametrize(
    ("value", "digits", "sign", "expected"),
    [(35.55, 1, False, "35.5"), (-0.04, 1, True, "+0.0"), (-7.75, 1, True, "−7.8"), (2.0, 2, True, "+2.00")],
)
def test_number(value: float, digits: int, sign: bool, expected: str) -> None:
    assert text.number(value, digits, sign) == expected


@pytest.mark.parametrize(("loss", "expected"), [(35.0, "35.0"), (2.5, "2.50"), (0.125, "0.125")])
def test_decimals_follow_the_largest_figure(tmp_path: Path, loss: float, expected: str) -> None:
    sweep = FakeSweep(tmp_path, paper_table=None, columns=[Column("retrieve/demo", "r1_rgb", "R@1")])
    sweep.complete(sweep.row("Init.", 0, cross=False), r1=loss, top1=0.0)
    made = table_of(tmp_path, sweep.record)
    assert text.figure(made.lines[0], 0, text.decimals(made, 0, made.lines[0].cells[0].values)) == expected


@pytest.mark.parametrize(("better", "small"), [("lower", "0.00812"), ("higher", "0.0")])
def test_costs_that_are_far_apart_keep_their_digits(tmp_path: Path, better: str, small: str) -> None:
    column = Column("retrieve/demo", "r1_rgb", "Seconds", better=better)
    sweep = FakeSweep(tmp_path, paper_table=None, baseline=None, columns=[column])
    for name, seconds in (("Ours", 0.00812), ("Theirs", 13.21)):
        sweep.complete(sweep.row(name, len(sweep.rows), cross=False), r1=seconds, top1=0.0)
    made = table_of(tmp_path, sweep.record)
    told = [text.cell_texts(made, line, [(0, "figure"), (0, "paper")]) for line in made.lines]
    assert told == [[small, ""], ["13.2", ""]]


def test_the_papers_costs_keep_their_own_digits(tmp_path: Path) -> None:
    column = Column("retrieve/demo", "r1_rgb", "Storage (GB)", paper="storage_gb", better="lower")
    sweep = FakeSweep(tmp_path, paper_table="table1_efficiency_ucf101", baseline=None, columns=[column])
    sweep.complete(sweep.row("Ours", 0, cross=False, paper="MVCGC"), r1=0.00312, top1=0.0)
    made = table_of(tmp_path, sweep.record)
    told = [text.cell_texts(made, line, [(0, "figure"), (0, "paper")]) for line in made.lines]
    assert told[:2] == [["0.00312", "1.90"], ["", "38.0"]]


def test_cells_of_a_row_that_differ_in_their_seeds_say_so(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path, baseline=None)
    rows = [sweep.row("Init.", seed, cross=False) for seed in range(2)]
    sweep.complete(rows[0], r1=20.0, top1=30.0)
    sweep.finish(rows[1].stages["linear/demo"], top1_rgb=32.0)
    line = table_of(tmp_path, sweep.record).lines[0]
    assert text.figure(line, 0, 1) == "20.0 (1 of 2)"
    assert text.figure(line, 1, 1) == "31.0 ± 1.4 (2 of 2)"
    assert text.seeds(line) == "1 of 2"


def test_a_single_seed_has_a_legend_of_its_own(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path, paper_table=None, columns=[Column("linear/demo", "top1_rgb", "Linear")])
    for name in ("Init.", "CMC"):
        sweep.complete(sweep.row(name, 3), r1=20.0, top1=30.0)
    legend = text.legend(table_of(tmp_path, sweep.record))
    assert legend == "Seed 3; Δ: difference to Init., seed by seed."


def test_csv_has_all_digits_and_every_seed(table: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert len(rows) == len(table.lines) * len(table.columns)
    mvcgc = next(row for row in rows if row["row"] == "MVCGC (k=5)" and row["metric"] == "r1_rgb")
    assert [float(mvcgc[f"value[{seed}]"]) for seed in range(3)] == table_factories.FIGURES["MVCGC (k=5)"][0]
    assert float(mvcgc["mean"]) == pytest.approx((35.5 + 36.5 + 37.0) / 3, abs=1e-12)
    assert (mvcgc["n"], mvcgc["planned"], mvcgc["paper"]) == ("3", "3", "60.8")
    union = next(row for row in rows if row["row"] == "MVCGC (k=5, union)")
    assert (union["value[1]"], union["state[1]"], union["n"]) == ("", "failed", "2")
    assert len(union["fingerprint[1]"]) == 16
    assert union["notes"] == "cross.lr is 0.003; in other rows it is 0.001."
    assert {row["row"] for row in rows if row["source"] == "literature"} >= {"MVCGC (k=10)"}
    assert table_factories.AWKWARD in {row["row"] for row in rows}


@given(ANY_NAME)
def test_markdown_keeps_a_name_in_its_cell(name: str) -> None:
    escaped = escape(name)
    bare = escaped.replace("\\\\", "")
    assert all(bare[at - 1] == "\\" for at, sign in enumerate(bare) if sign in "|*_`<[")


def test_markdown_rows_have_equally_many_cells(table: Table) -> None:
    lines = [line.replace("\\|", "") for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines[: len(table.lines) + 2]}) == 1


class _Page(HTMLParser):
    """Collects the text of the title and of the table's row headings, and checks that elements nest."""

    VOID = ("meta", "line", "circle", "!doctype")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.title = ""
        self.headings: list[str] = []
        self.in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.in_heading = tag == "th" and ("scope", "row") in attrs
        if self.in_heading:
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.in_heading = False

    def handle_data(self, data: str) -> None:
        if self.in_heading:
            self.headings[-1] += data
        if self.open[-1:] == ["h1"]:
            self.title += data


def test_html_nests_and_keeps_names(table: Table) -> None:
    page = _Page()
    page.feed(to_html(table))
    assert page.open == []
    assert page.headings[: len(table.lines)] == [text.name(line) for line in table.lines]
    assert "http" not in to_html(table)


@given(ANY_NAME)
@example("</h1><b title='&lt;\">")
def test_html_keeps_any_name(name: str) -> None:
    page = _Page()
    page.feed(to_html(named(name)))
    assert page.open == []
    assert page.title == name
    assert page.headings[0] == name


@given(ANY_NAME)
@example(table_factories.AWKWARD)
def test_latex_escapes_any_name(name: str) -> None:
    """No sign that LaTeX gives a meaning is left once commands and escaped signs are gone."""
    end = r"} & 0 of 1 & -- \\"
    row = next(line for line in to_latex(named(name)).splitlines() if line.endswith(end))
    printed = row.strip().removeprefix("{").removesuffix(end)
    left = re.sub(r"\$(\\[a-z]+|-)\$|\\[a-z]+\{\}|\\[&%$#_{}]", "", printed)
    assert not set(left) & set("\\&%$#_{}~^")


def test_latex_compiles(table: Table, tmp_path: Path) -> None:
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("pdflatex is not installed (Debian: texlive-latex-recommended)")
    source = tmp_path / "document.tex"
    source.write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
        f"{to_latex(table)}\\end{{document}}\n"
    )
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", source.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
