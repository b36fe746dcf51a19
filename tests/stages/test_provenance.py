"""What is written of code and packages."""

import os
import socket
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import torch

from mvcgc.stages import provenance


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in a git tree, with one commit."""
    folder = tmp_path / "tree" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("x = 1\n")
    git(folder.parent, "init", "-q")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-q", "-m", "first")
    return folder


def test_commit_and_changes(package: Path) -> None:
    assert provenance.code_state(package) == {"commit": git(package, "rev-parse", "HEAD"), "diff": ""}
    (package / "__init__.py").write_text("x = 2\n")
    diff = provenance.code_state(package)["diff"]
    assert diff is not None
    assert "-x = 1\n+x = 2" in diff


def test_a_tree_that_does_not_track_the_package_is_not_its_own(package: Path) -> None:
    installed = package.parent / "venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert provenance.code_state(installed) == {"commit": None, "diff": None}


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__init__.py").write_text("")
    assert provenance.code_state(tmp_path) == {"commit": None, "diff": None}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.code_state(tmp_path) == {"commit": None, "diff": None}


def test_a_machine_is_named_by_what_speed_depends_on() -> None:
    said = provenance.machine(torch.device("cpu"))
    assert said == f"{provenance.processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    assert provenance.processor() in Path("/proc/cpuinfo").read_text()
    assert socket.gethostname() not in said


def test_packages_are_those_that_are_installed() -> None:
    found = provenance.packages()
    for name in ("torch", "numpy", "av"):
        assert found[name] == metadata.version(name)
