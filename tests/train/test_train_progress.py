"""A bar on a terminal, lines in a log, silence on the other ranks."""

import io

import pytest

from mvcgc.train.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show() -> None:
    with ProgressLine("cross", total=40, done=10, enabled=True) as progress:
        progress.advance(11)
        progress.report(20, {"loss": 1.5, "acc_rgb": float("nan")})


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    show()
    text = terminal.getvalue()
    assert "\x1b[" in text
    assert "20/40" in text
    assert "loss 1.5" in text
    assert "nan" not in text


def test_lines_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    show()
    captured = capsys.readouterr()
    assert captured.err == "cross step 20/40 loss=1.5 acc_rgb=nan (about 0 s left)\n"
    assert captured.out == ""


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("cross", total=40, done=10, enabled=False) as progress:
        progress.advance(11)
        progress.report(20, {"loss": 1.5})
    assert capsys.readouterr() == ("", "")
