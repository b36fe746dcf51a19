"""Hydra's plugins: the jobs of a multirun, and what they import."""

import ast
from pathlib import Path

import pytest
from commands import Command, assert_mistake
from hydra.core.override_parser.overrides_parser import OverridesParser

from hydra_plugins import mvcgc_launcher
from hydra_plugins.mvcgc_launcher.sweeper import combinations
from mvcgc import run


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """``python -m mvcgc.run`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Command(run.main, "mvcgc.run", monkeypatch, capsys)


@pytest.mark.parametrize(
    ("overrides", "jobs"),
    [
        ([], [[]]),
        (["a=1"], [["a=1"]]),
        (["a=1,2", "b=x"], [["a=1", "b=x"], ["a=2", "b=x"]]),
        (["a=1,2", "b=x,y"], [["a=1", "b=x"], ["a=1", "b=y"], ["a=2", "b=x"], ["a=2", "b=y"]]),
        (["a=range(3)"], [["a=0"], ["a=1"], ["a=2"]]),
        (["a=choice(1,2)"], [["a=1"], ["a=2"]]),
        (["a=[1,2],[3]"], [["a=[1,2]"], ["a=[3]"]]),
        (["a='x y'", "b=null"], [["a='x y'", "b=null"]]),
        (["a=1,2", "a=5"], [["a=5"]]),
    ],
)
def test_each_combination_of_the_listed_values_is_a_job(overrides: list[str], jobs: list[list[str]]) -> None:
    assert combinations(OverridesParser.create().parse_overrides(overrides)) == jobs


def test_an_interval_is_refused(command: Command) -> None:
    ended = command("-m", "cross.lr=interval(0.1,0.2)")
    assert_mistake(ended, "cross.lr=interval(0.1,0.2): list the values, as in cross.lr=0.1,0.2")
    assert list(Path().iterdir()) == []


def test_a_foreign_launcher_is_refused_and_a_slurm_key_too(command: Command) -> None:
    foreign = command("hydra/launcher=submitit_local")
    assert_mistake(foreign, "hydra/launcher=submitit_local: choose one of local, plan, slurm")
    for multirun in ([], ["-m"]):
        ended = command(*multirun, "+hydra.launcher.partition=x")
        assert_mistake(ended, "hydra.launcher.partition=x: goes with hydra/launcher=slurm")


def test_only_public_parts_of_hydra_are_imported() -> None:
    for path in Path(next(iter(mvcgc_launcher.__path__))).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if "._" in name], path
