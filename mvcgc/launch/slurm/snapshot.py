"""Copies the code for jobs to run from, so that an edit does not change queued jobs."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import mvcgc
from mvcgc.parts import Part, own_modules

KEPT = (".py", ".yaml", ".html", ".j2", ".css")


def snapshot(root: Path, parts: Iterable[type[Part]] = ()) -> Path:
    """Copy the code to ``<root>/code/<hash of its content>`` unless it is there; return that folder.

    Args:
        root: folder of all runs.
        parts: parts in use; the packages of those that are the user's own are copied, too.
    """
    package = Path(mvcgc.__file__).parent
    places = dict.fromkeys([package, *own_modules(parts)])
    files = sorted(file for place in places for file in _files(place))
    content = hashlib.sha256()
    for path, name in files:
        data = path.read_bytes()
        content.update(f"{name} {len(data)}\n".encode() + data)
    target = root.absolute() / "code" / content.hexdigest()[:16]
    if target.exists():
        return target
    beside = target.with_name(f".{target.name}.{os.uname().nodename}.{os.getpid()}")
    for path, name in files:
        copy = beside / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    try:
        beside.rename(target)
    except OSError:  # another has put the same there meanwhile
        shutil.rmtree(beside)
    return target


def _files(place: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of a package, or a module, with the names by which they are imported."""
    if place.is_file():
        yield place, place.name
        return
    for path in place.rglob("*"):
        if path.suffix in KEPT and path.is_file():
            yield path, path.relative_to(place.parent).as_posix()
