"""Locks between processes that share a filesystem: a file that names its owner.

Taking a lock is one ``link(2)``, which is exclusive on local and network filesystems and shows the owner's
name from the first moment. A lock is taken from its owner only when the owner is provably dead: on this
machine, in this process namespace, with all the processes that it listed gone, or the machine rebooted since;
or a scheduler's job that its scheduler says is over.
"""

import errno
import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from mvcgc.errors import UserError


@dataclass(frozen=True)
class Process:
    """A process by its number and its start in clock ticks since boot: numbers come again, pairs do not."""

    pid: int
    start: int

    @property
    def alive(self) -> bool:
        """Whether this very process still runs here; a zombie does not."""
        return _start_of(self.pid) == self.start


@dataclass(frozen=True)
class Machine:
    """Where a process number means something: a host, one boot of it, one process namespace."""

    host: str
    machine_id: str
    boot_id: str
    namespace: str

    @classmethod
    def here(cls) -> "Machine":
        """This one."""
        return cls(
            host=socket.gethostname(),
            machine_id=_text_of(Path("/etc/machine-id")),
            boot_id=_text_of(Path("/proc/sys/kernel/random/boot_id")),
            namespace=_target_of(Path("/proc/self/ns/pid")),
        )


class Jobs:
    """How to learn whether a scheduler's job, ``<cluster>:<id>``, is over for good; unsure means False.

    `mvcgc.launch` knows a scheduler and puts its answer here.
    """

    is_over: ClassVar[Callable[[str], bool]] = staticmethod(lambda _: False)


@dataclass(frozen=True)
class Owner:
    """Who holds a lock: the first process took it, the others work for it.

    ``job`` (``<cluster>:<id>``) is the scheduler's job that the lock was handed over to; then there are no
    processes, and ``machine`` is where it was submitted.
    """

    machine: Machine
    processes: tuple[Process, ...]
    purpose: str
    taken_ms: int
    token: str
    job: str = ""

    @property
    def provably_dead(self) -> bool:
        """True only if no process of this owner can be running any more. Unsure means False."""
        if self.job:
            return Jobs.is_over(self.job)
        here = Machine.here()
        if self.machine.host != here.host or self.machine.machine_id != here.machine_id:
            return False
        if self.machine.boot_id != here.boot_id:
            return self.machine.machine_id != ""
        return self.machine.namespace == here.namespace and not any(p.alive for p in self.processes)

    def describe(self) -> str:
        """For people: who, where, since when."""
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.taken_ms / 1000))
        purpose = f" for {self.purpose}" if self.purpose else ""
        if self.job:
            cluster, _, number = self.job.partition(":")
            return f"job {number} on {cluster} since {since}{purpose}"
        return f"process {self.processes[0].pid} on {self.machine.host} since {since}{purpose}"


# Tokens of the locks that this process holds, by the lock's absolute path. A forked child does not hold them.
_held: dict[tuple[int, Path], str] = {}


@dataclass(frozen=True)
class Lock:
    """A lock file; one process at a time holds it."""

    path: Path

    @property
    def owner(self) -> Owner | None:
        """The owner that the file names; None if nobody holds the lock."""
        try:
            text = self.path.read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _owner_from_json(json.loads(text))

    def try_acquire(self, purpose: str = "") -> bool:
        """Take the lock unless another may hold it; False then, and at once. Not reentrant."""
        owner = Owner(
            machine=Machine.here(),
            processes=(_process(os.getpid()),),
            purpose=purpose,
            taken_ms=time.time_ns() // 1_000_000,
            token=uuid.uuid4().hex,
        )
        if self._link(owner):
            return True
        current = self.owner
        if current is not None and current.provably_dead:
            self._break(current)
        return self._link(owner)

    def extend(self, pids: Sequence[int]) -> None:
        """Name further processes of the owner, this process: the lock holds while any of them lives."""
        owner = self._own
        processes = (owner.processes[0], *(_process(pid) for pid in pids))
        self._write_beside(replace(owner, processes=processes)).replace(self.path)

    def hand_over(self, job: str) -> None:
        """Make the scheduler's job ``<cluster>:<id>`` the owner in place of this process."""
        renamed = replace(self._own, processes=(), job=job)
        self._write_beside(renamed).replace(self.path)
        del _held[self._key]

    def release_by(self, job: str) -> None:
        """Give the lock back if that job holds it; for the job itself, at its end."""
        owner = self.owner
        if owner is not None and owner.job == job:
            self.path.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the lock back if this process holds it."""
        token = _held.pop(self._key, None)
        owner = self.owner
        if owner is not None and owner.token == token:
            self.path.unlink(missing_ok=True)

    @property
    def _key(self) -> tuple[int, Path]:
        return os.getpid(), self.path.absolute()

    @property
    def _own(self) -> Owner:
        owner = self.owner
        assert owner is not None, f"{self.path} is not held"
        assert owner.token == _held.get(self._key), f"{self.path} is another's"
        return owner

    def _link(self, owner: Owner) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._write_beside(owner)
        try:
            os.link(beside, self.path)
        except FileExistsError:
            # A network filesystem may repeat a link whose reply was lost: the count of names tells who won.
            if beside.stat().st_nlink != 2:
                return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            raise UserError(
                f"{self.path.parent} has no hard links, which locks need: choose a root on another filesystem"
            ) from error
        finally:
            beside.unlink()
        _held[self._key] = owner.token
        return True

    def _write_beside(self, owner: Owner) -> Path:
        beside = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        with beside.open("w") as file:
            file.write(json.dumps(asdict(owner)) + "\n")
            file.flush()
            os.fsync(file.fileno())  # after a power cut a lock must still name its owner
        return beside

    def _break(self, dead: Owner) -> None:
        # All who may break a process's lock are on its machine; between those who may break a job's, network
        # filesystems carry flock. Under it the file is the dead owner's own, or a live one's taken since.
        with self.path.with_name(f".{self.path.name}.breaking").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            current = self.owner
            if current is not None and current.token == dead.token:
                self.path.unlink()


def _process(pid: int) -> Process:
    return Process(pid, _start_of(pid) or 0)


def _start_of(pid: int) -> int | None:
    """Start of a running process in clock ticks since boot; None for one that is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the command's name, before it, may hold anything
    return None if fields[0] in "ZX" else int(fields[19])


def _text_of(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _target_of(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _owner_from_json(data: dict[str, Any]) -> Owner:
    return Owner(
        machine=Machine(**data["machine"]),
        processes=tuple(Process(**process) for process in data["processes"]),
        purpose=data["purpose"],
        taken_ms=data["taken_ms"],
        token=data["token"],
        job=data.get("job", ""),
    )
