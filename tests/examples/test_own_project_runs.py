"""The example project, used as its owner uses it: from its own folder, by commands alone."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "examples" / "own_project"
MOST_LINES = 150
SWEEP = ("-m", "sweeps=own", "tracking=off")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, with its videos."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("data", "runs", "results", "__pycache__"))
    assert said(folder, "make_videos.py") == ""
    return folder


def said(folder: Path, *command: str, fails: bool = False) -> str:
    """Return what a Python command in the project's folder prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


def verdicts(folder: Path) -> list[tuple[str, str]]:
    """Return each stage of the plan with its verdict."""
    lines = said(folder, "-m", "mvcgc.run", *SWEEP, "hydra/launcher=plan").splitlines()
    return [(line.split()[0], line.split()[2]) for line in lines[1 : lines.index("")]]


def test_the_project_is_short() -> None:
    files = [path for path in PROJECT.rglob("*") if path.suffix in (".py", ".yaml")]
    assert sum(len(path.read_text().splitlines()) for path in files) < MOST_LINES


def test_its_table_comes_out_and_an_edit_re_runs_what_depends_on_it(project: Path) -> None:
    assert "Hard negatives" in said(project, "-m", "mvcgc.run", *SWEEP)
    (table,) = project.glob("results/*/own-videos.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    # One line a figure of a row.
    assert list(dict.fromkeys(row["row"] for row in rows)) == ["InfoNCE", "Hard negatives"]
    assert {verdict for _, verdict in verdicts(project)} == {"cached"}

    methods = project / "mylab" / "methods.py"
    methods.write_text(methods.read_text().replace("self.config.beta *", "2 * self.config.beta *"))
    again = verdicts(project)
    assert [stage for stage, verdict in again if verdict == "submit"] == ["cross", "linear/videos"]
    assert len(again) == 6
    why = said(project, "-m", "mvcgc.cli", "plan", "-m", "--why", "cross", "sweeps=own")
    assert "  method source: " in why


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("methods.py", "    version = 1\n", "", "HardNegatives declares no version"),
        ("methods.py", "import torch\n", "import torch\nimport nowhere\n", "No module named 'nowhere'"),
        ("methods.py", "class HardNegatives", "class HardNegative", "did you mean HardNegative?"),
        ("../conf/method/hard_negatives.yaml", "beta: 1.0", "betta: 1.0", "did you mean method.beta?"),
    ],
)
def test_a_mistake_is_told_in_one_line(project: Path, file: str, old: str, new: str, line: str) -> None:
    path = project / "mylab" / file
    path.write_text(path.read_text().replace(old, new))
    told = said(project, "-m", "mvcgc.run", *SWEEP, "hydra/launcher=plan", fails=True)
    assert line in told
    assert told.count("\n") == 1


def test_a_part_that_raises_fails_its_stage_with_one_line(project: Path) -> None:
    methods = project / "mylab" / "methods.py"
    text = methods.read_text()
    methods.write_text(
        text.replace("        negatives =", "        raise ValueError('oh')\n        negatives =")
    )
    told = said(project, "-m", "mvcgc.run", *SWEEP, fails=True)
    assert "cross failed" in told
    assert "ValueError: oh" in told
