"""How commands end where their output is read no further; mistakes and bugs are in `test_run.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mvcgc.exit_codes import CUT_OFF, exit_code_of

PROGRAM = """
import os, sys
from mvcgc.exit_codes import exit_code_of
sys.exit(exit_code_of(lambda: {command}))
"""


def ended(command: str, *, read: bool) -> tuple[int, str]:
    """The exit code and stderr of ``command``, whose stdout is a pipe that somebody reads, or nobody."""
    ours, theirs = os.pipe()
    if not read:
        os.close(ours)
    line = [sys.executable, "-c", PROGRAM.format(command=command)]
    with os.fdopen(theirs, "wb") as stdout:
        done = subprocess.run(line, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    if read:
        os.close(ours)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "print('a few words')",  # which Python holds until its end
        "[print(number) for number in range(9999)]",
        "sys.stdout.write('x' * 99_999)",  # larger than what Python holds
        "[print('x' * 99_999, flush=True), 1 / 0]",
        "[print('x' * 99_999), sys.exit(3)]",
    ],
)
def test_nobody_reads_on(command: str) -> None:
    assert ended(command, read=False) == (CUT_OFF, "")


def test_another_pipe_that_breaks_is_a_bug() -> None:
    """Of a process that the command has started, say: whoever reads stdout is told."""
    command = "[other := os.pipe(), os.close(other[0]), os.write(other[1], b'x')]"
    code, said = ended(command, read=True)
    assert code == 1
    assert "BrokenPipeError" in said


def test_a_head_of_a_real_command(tmp_path: Path) -> None:
    shell = f"{sys.executable} -m mvcgc.run --cfg job | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("dataset:\n", "")
    assert done.returncode in (0, CUT_OFF)  # all may have been written before head ends


def test_without_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(lambda: print("a few words")) == 0
    assert capsys.readouterr().out == "a few words\n"
