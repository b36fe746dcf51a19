"""Copies the code for jobs to run from, so that an edit does not change queued jobs."""

import hashlib
import os
import shutil
from pathlib import Path

import mvcgc

KEPT = (".py", ".yaml", ".html")


def snapshot(root: Path) -> Path:
    """Copy the package to ``<root>/code/<hash of its content>`` unless it is there; return that folder."""
    package = Path(mvcgc.__file__).parent
    files = sorted(path for path in package.rglob("*") if path.suffix in KEPT and path.is_file())
    content = hashlib.sha256()
    for path in files:
        data = path.read_bytes()
        content.update(f"{path.relative_to(package)} {len(data)}\n".encode() + data)
    target = root.absolute() / "code" / content.hexdigest()[:16]
    if target.exists():
        return target
    beside = target.with_name(f".{target.name}.{os.uname().nodename}.{os.getpid()}")
    for path in files:
        copy = beside / package.name / path.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    try:
        beside.rename(target)
    except OSError:  # another has put the same there meanwhile
        shutil.rmtree(beside)
    return target
