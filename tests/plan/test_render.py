import io
import re
from pathlib import Path

import pytest
from plan_factories import finish, make_graph, make_manifest, make_row
from rich.console import Console

from mvcgc.method.cmc import CMC
from mvcgc.method.coclr import CoCLR
from mvcgc.method.init_only import InitOnly
from mvcgc.plan import Graph, clip_epochs, judge, pretraining_network_epochs, renderable, text, totals

EXPECTED = """\
stage          fingerprint       verdict  reason              after             needed by  clip-epochs
init/rgb       ................  cached   finished: loss 0.5  -                 a [0], b [0] and 1 more  600
init/mv        ................  submit   new                 -                 a [0], b [0] and 1 more  600
cross          ................  submit   new, after init/mv  init/mv init/rgb  a [0]                    800
linear/tiny    ................  submit   new, after cross    cross             a [0]                    -
retrieve/tiny  ................  submit   new, after cross    cross             a [0]                    -
cross          ................  submit   new, after init/mv  init/mv init/rgb  b [0]                    800
linear/tiny    ................  submit   new, after cross    cross             b [0]                    -
retrieve/tiny  ................  submit   new, after cross    cross             b [0]                    -
linear/tiny    ................  submit   new, after init/mv  init/mv init/rgb  c [0]                    -
retrieve/tiny  ................  submit   new, after init/mv  init/mv init/rgb  c [0]                    -

3 rows x 1 seed: 10 stages, 1 cached, 9 submit
clip-epochs: 5,200 if every row ran alone, 2,800 shared (46 % saved), 2,200 still to run
network-epochs of pre-training: 260 if every row ran alone, 140 shared (46 % saved), 110 still to run
"""


@pytest.fixture
def graph() -> Graph:
    return make_graph(
        [make_row("a"), make_row("b", method__k=1), make_row("c", method=InitOnly.Config(queue=16))]
    )


def squeezed(lines: str) -> list[str]:
    return [re.sub("  +", "  ", line) for line in re.sub("[0-9a-f]{16}", "." * 16, lines).splitlines()]


def test_the_plan_in_plain_text(graph: Graph, tmp_path: Path) -> None:
    finish(graph.rows[0].stages["init/rgb"], tmp_path, loss=0.5)
    assert squeezed(text(graph, judge(graph, tmp_path))) == squeezed(EXPECTED)


def test_columns_are_aligned(graph: Graph, tmp_path: Path) -> None:
    lines = text(graph, judge(graph, tmp_path)).splitlines()[:11]
    assert {line.index(word) for line, word in zip(lines, ["verdict", *["submit"] * 10], strict=True)} == {33}


def test_on_a_terminal(graph: Graph, tmp_path: Path) -> None:
    finish(graph.rows[0].stages["init/rgb"], tmp_path, loss=0.5)
    verdicts = judge(graph, tmp_path)
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    console.print(renderable(graph, verdicts))
    assert isinstance(console.file, io.StringIO)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())
    assert [line.split() for line in plain.splitlines()] == [
        line.split() for line in text(graph, verdicts).splitlines()
    ]
    assert "\x1b[32mcached" in console.file.getvalue()


def test_totals_by_hand(graph: Graph, tmp_path: Path) -> None:
    sums = totals(graph, judge(graph, tmp_path), clip_epochs)
    init, cross = 30 * 20 * 2, 20 * 20 * 2
    assert sums.alone == 3 * init + 2 * cross
    assert sums.shared == sums.to_run == init + 2 * cross
    assert sums.saved_percent == pytest.approx(100 * (1 - sums.shared / sums.alone))


def test_a_note_is_shown(tmp_path: Path) -> None:
    graph = make_graph([make_row()], tiny=make_manifest(classes=0))
    assert text(graph, judge(graph, tmp_path)).endswith(
        "note: tiny has no classes: nothing is evaluated on it\n"
    )


def test_the_papers_ablation_costs_a_fraction_of_its_rows() -> None:
    """Much of table 3 at the paper's epochs: 300 of either initialisation, 200 of stage 2."""
    changes = [
        {"method": InitOnly.Config(queue=16)},
        {"method": CoCLR.Config(queue=16)},
        {"method": CMC.Config(queue=16)},
        {"method__init": False},
        *({"method__k": k} for k in (1, 5, 10, 20)),
    ]
    rows = [
        make_row(str(n), init__epochs=300, cross__epochs=200, **change) for n, change in enumerate(changes)
    ]
    graph = make_graph(rows)
    sums = totals(graph, judge(graph, Path("/nowhere")), pretraining_network_epochs)
    assert sums.alone == 7 * 600 + 6 * 400 + 200
    assert sums.shared == 600 + 6 * 400 + 200
