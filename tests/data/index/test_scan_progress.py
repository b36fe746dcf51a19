"""Progress: a bar on a terminal, lines in a log."""

import os
import pty
import sys

import pytest

from mvcgc.data.index import progress as module
from mvcgc.data.index.progress import progress


def test_a_log_gets_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with progress("scanning", 100) as advance:
        for _ in range(100):
            now[0] += 0.25
            advance(1)
    assert capsys.readouterr().err.splitlines() == [
        "scanning: 40 of 100",
        "scanning: 80 of 100",
        "scanning: 100 of 100",
    ]


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("scanning", 0) as advance:
        advance(0)
    assert capsys.readouterr().err == ""


def read_all(terminal: int) -> str:
    """All that was written to a terminal whose other end is closed."""
    seen = b""
    while True:
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # the end, as terminals tell it
            os.close(terminal)
            return seen.decode()


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        with progress("scanning", 3) as advance:
            advance(2)
    seen = read_all(ours)
    assert "scanning" in seen
    assert "2/3" in seen
    assert "\x1b[" in seen
