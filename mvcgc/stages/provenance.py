"""Where a result comes from: code, packages, machine, command."""

import json
import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

import mvcgc
from mvcgc import dist
from mvcgc.files import write_atomic
from mvcgc.runs.folder import StageFolder


def record(folder: StageFolder, attempt: int, device: torch.device) -> dict[str, str]:
    """Add this attempt to ``provenance.json`` and return what its journal should carry.

    All ranks call it, rank 0 writes.
    """
    places = dist.all_gather_object(f"{socket.gethostname()}: {describe(device)}")
    known = _known(folder)
    code = code_state(Path(mvcgc.__file__).parent)
    if code["commit"] is None and "submitted" in known:  # a copy of the code that was submitted
        code = {key: known["submitted"]["code"][key] for key in code}
    if dist.is_main():
        entry = {
            "attempt": attempt,
            "started_ms": time.time_ns() // 1_000_000,
            "command": sys.orig_argv,
            "ranks": places,
            "machine": machine(device),
            "code": {"version": mvcgc.__version__, **code},
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": packages(),
        }
        attempts = [*known.get("attempts", []), entry]
        write_atomic(folder.provenance, json.dumps({**known, "attempts": attempts}, indent=2) + "\n")
    return {"host": socket.gethostname(), "device": describe(device), "commit": code["commit"] or ""}


def submission() -> dict[str, Any]:
    """Return what is submitted now: code, packages, and by which command; for `record_submission`."""
    return {
        "submitted_ms": time.time_ns() // 1_000_000,
        "command": sys.orig_argv,
        "host": socket.gethostname(),
        "code": {"version": mvcgc.__version__, **code_state(Path(mvcgc.__file__).parent)},
        "packages": packages(),
    }


def record_submission(folder: StageFolder, submitted: dict[str, Any]) -> None:
    """Put `submission` into a stage's ``provenance.json``, in place of an earlier one's."""
    write_atomic(folder.provenance, json.dumps({**_known(folder), "submitted": submitted}, indent=2) + "\n")


def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    return f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def machine(device: torch.device) -> str:
    """What a speed depends on, in words without the machine's name: its processors, and its GPU if used."""
    devices = [torch.device("cpu"), *([device] if device.type == "cuda" else [])]
    return "; ".join(map(describe, devices))


def processor() -> str:
    """The model of this machine's processors."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def code_state(package: Path) -> dict[str, str | None]:
    """Commit and uncommitted changes of the git tree that tracks the package; None without one."""
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {"commit": None, "diff": None}
    return {"commit": _git(package, "rev-parse", "HEAD"), "diff": _git(package, "diff", "HEAD", "--", ".")}


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def packages() -> dict[str, str]:
    """Versions of all installed distributions by name.

    Read from the names of their folders, which the standard for installed projects fixes: parsing the
    metadata of hundreds would take a second.
    """
    folders = [found for entry in sys.path for found in Path(entry or ".").glob("*.dist-info")]
    names = (found.name.removesuffix(".dist-info").rsplit("-", 1) for found in sorted(folders))
    return dict(names)


def _known(folder: StageFolder) -> dict[str, Any]:
    if not folder.provenance.exists():
        return {}
    known: dict[str, Any] = json.loads(folder.provenance.read_text())
    return known
