"""Running our commands within the test's process: starting one costs seconds."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Command:
    """A command's main function, called as from a shell."""

    main: Callable[[], int]
    name: str
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Ended:
        """Its exit code and what it printed."""
        self.monkeypatch.setattr(sys, "argv", [self.name, *arguments])
        self.monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # the command sets it; undone after the test
        self.capsys.readouterr()
        code = self.main()
        return Ended(code, *self.capsys.readouterr())


def assert_mistake(ended: Ended, line: str) -> None:
    """The one line of a user's mistake, and nothing else."""
    assert ended.code == 2, ended
    assert ended.err.startswith(f"error: {line}"), ended.err
    assert ended.err.count("\n") == 1, ended.err
    assert "Traceback" not in ended.out + ended.err
