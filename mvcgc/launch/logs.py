"""Reading the logs of ranks and jobs."""

from pathlib import Path

TAIL_BYTES = 4096
LINE_CHARACTERS = 300
"""Longest line that still fits a message."""


def last_line(log: Path) -> str:
    """Return the last line of a log that is not blank, shortened; '' if there is none."""
    try:
        lines = log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    return next((line.strip()[:LINE_CHARACTERS] for line in reversed(lines) if line.strip()), "")
