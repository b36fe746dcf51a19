"""Checkpoints that a kill at any moment leaves usable.

``checkpoint/<step>/`` holds ``state.pt`` (what all ranks share, written by rank 0), ``rank-<r>.pt`` (what
is each rank's own) and ``meta.json`` (step, number of ranks, the files' hashes). A checkpoint is written
beside, as ``.new-<step>``, synced to disk, and renamed into place; the one before it stays until the next
is in place.
"""

import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mvcgc import dist
from mvcgc.files import sha256_of, sync_folder, write_atomic

SHARED = "state.pt"
META = "meta.json"
KEEP = 2


class CheckpointDamaged(RuntimeError):
    """There are checkpoints, and none of them is as it was written."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint after ``step`` steps, on the CPU; ``own`` is None if another number of ranks wrote it."""

    step: int
    shared: dict[str, Any]
    own: dict[str, Any] | None


class Checkpoints:
    """The checkpoints of one stage. All ranks call `save` and `load` together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, step: int, shared: dict[str, Any], own: dict[str, Any]) -> None:
        """Publish a checkpoint after ``step`` steps, then delete all but the newest two.

        ``shared`` counts on rank 0 alone. Values are tensors and plain Python objects, as ``weights_only``
        wants.
        """
        beside, final = self._folder / f".new-{step:08d}", self._folder / f"{step:08d}"
        if dist.is_main():
            self._sweep()
            beside.mkdir(parents=True)
        dist.barrier()
        mine = {f"rank-{dist.rank()}.pt": own}
        if dist.is_main():
            mine[SHARED] = shared
        hashes = {name: _write(beside / name, content) for name, content in mine.items()}
        all_hashes = dist.all_gather_object(hashes)  # nobody passes before every file is on the disk
        if dist.is_main():
            files = {name: digest for part in all_hashes for name, digest in part.items()}
            meta = {"step": step, "world": dist.world(), "files": files}
            write_atomic(beside / META, json.dumps(meta, indent=2) + "\n")
            if final.exists():
                final.replace(self._folder / f".old-{step:08d}")
            beside.replace(final)
            sync_folder(self._folder)
            for outdated in self._steps()[KEEP:]:
                # Under its own name a folder is whole, so it loses the name before its files.
                outdated.replace(self._folder / f".old-{outdated.name}")
            self._sweep()
        dist.barrier()

    def load(self) -> Loaded | None:
        """The newest sound checkpoint; None if there is none at all.

        Says on stderr which damaged ones it passed over. Raises CheckpointDamaged if none is sound.
        """
        chosen = dist.all_gather_object(self._choose() if dist.is_main() else "")[0]
        if not chosen:
            return None
        if isinstance(chosen, CheckpointDamaged):
            raise chosen
        folder = self._folder / chosen
        meta = json.loads((folder / META).read_text())
        own = None
        if meta["world"] == dist.world():
            own = _read(folder / f"rank-{dist.rank()}.pt")
        return Loaded(int(meta["step"]), _read(folder / SHARED), own)

    def _choose(self) -> "str | CheckpointDamaged":
        """Name of the newest sound checkpoint, "" for none."""
        found = self._steps()
        for folder in found:
            damage = _damage(folder)
            if not damage:
                return folder.name
            print(f"warning: checkpoint {folder} is damaged ({damage})", file=sys.stderr, flush=True)
        if found:
            return CheckpointDamaged(
                f"every checkpoint in {self._folder} is damaged: delete the folder to start the stage afresh"
            )
        return ""

    def _steps(self) -> list[Path]:
        """Published checkpoints, newest first."""
        return sorted((path for path in self._listing() if path.name.isdecimal()), reverse=True)

    def _sweep(self) -> None:
        """Delete what killed attempts left half written or half deleted."""
        for path in self._listing():
            if path.name.startswith("."):
                shutil.rmtree(path)

    def _listing(self) -> Iterator[Path]:
        return iter(list(self._folder.iterdir()) if self._folder.is_dir() else [])


def _damage(folder: Path) -> str:
    """Return what is wrong with a published checkpoint, "" if nothing is."""
    try:
        files = json.loads((folder / META).read_text())["files"]
        for name, digest in files.items():
            if sha256_of(folder / name) != digest:
                return f"{name} is not what was written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return str(error)
    return ""


class _Hashing(io.FileIO):
    """A file that hashes what passes into it, which saves reading it again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")
        self.sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        self.sha256.update(left)
        while left:  # an unbuffered write may be short
            left = left[super().write(left) :]
        return memoryview(data).nbytes


def _write(path: Path, content: dict[str, Any]) -> str:
    with _Hashing(path) as file:
        torch.save(content, file)
        os.fsync(file.fileno())
        return file.sha256.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content
