import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvcgc.errors import UserError
from mvcgc.runs.lock import Jobs, Lock, Machine, Owner, Process

HOLD = """
import sys, pathlib, time
from mvcgc.runs.lock import Lock
assert Lock(pathlib.Path(sys.argv[1])).try_acquire("a test")
print("held", flush=True)
time.sleep(60)
"""

# Acquires and releases as fast as it can, and says whether it was ever alone with another in the middle.
CONTEND = """
import os, sys, pathlib, time
from mvcgc.runs.lock import Lock
lock, inside = Lock(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2])
won = 0
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    if lock.try_acquire():
        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
        inside.unlink()
        won += 1
        if won % 3 == 0:
            os._exit(17)  # die with the lock in hand
        lock.release()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock ``tmp_path / "lock"``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "deep" / "lock")
    assert lock.owner is None
    assert lock.try_acquire("sweep x")
    assert not Lock(lock.path).try_acquire()
    owner = lock.owner
    assert owner is not None
    assert owner.processes[0].pid == os.getpid()
    assert not owner.provably_dead
    assert "for sweep x" in owner.describe()
    lock.release()
    assert lock.owner is None
    assert os.listdir(lock.path.parent) == []
    assert lock.try_acquire()
    lock.release()


def test_is_not_taken_from_the_living(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    lock = Lock(tmp_path / "lock")
    assert not lock.try_acquire()
    lock.release()
    assert lock.owner is not None, "only the holder gives it back"
    holder.send_signal(signal.SIGSTOP)
    assert not lock.try_acquire(), "a stopped process is alive"


def test_is_taken_from_the_dead_even_before_they_are_buried(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    lock = Lock(tmp_path / "lock")
    holder.kill()  # not waited for: a zombie until the fixture ends
    deadline = time.monotonic() + 10
    while not lock.try_acquire():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    lock.release()


def test_stands_while_a_process_it_was_extended_to_lives(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    script = (
        "import sys, pathlib\nfrom mvcgc.runs.lock import Lock\nlock = Lock(pathlib.Path(sys.argv[1]))\n"
        "assert lock.try_acquire()\nlock.extend([int(sys.argv[2])])"
    )
    lock = Lock(tmp_path / "lock")
    subprocess.run([sys.executable, "-c", script, str(lock.path), str(child.pid)], check=True)
    try:
        assert not lock.try_acquire()
    finally:
        child.kill()
        child.wait()
    assert lock.try_acquire()
    lock.release()


def rewrite(lock: Lock, owner: Owner) -> None:
    lock.path.write_text(json.dumps(dataclasses.asdict(owner)))


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({}, True),
        ({"host": "elsewhere"}, False),
        ({"machine_id": "another"}, False),
        ({"namespace": "pid:[1]"}, False),
        ({"boot_id": "earlier"}, True),
    ],
)
def test_is_taken_only_where_death_can_be_proved(tmp_path: Path, change: dict[str, str], dead: bool) -> None:
    here = dataclasses.replace(Machine.here(), machine_id="m")
    gone = Process(pid=os.getpid(), start=1)  # this number, but another process long ago
    owner = Owner(dataclasses.replace(here, **change), (gone,), "", 0, "token")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "here", lambda: here)
        assert owner.provably_dead is dead
        lock = Lock(tmp_path / "lock")
        rewrite(lock, owner)
        assert lock.try_acquire() is dead
        lock.release()


def test_without_a_machine_id_another_boot_proves_nothing() -> None:
    here = dataclasses.replace(Machine.here(), machine_id="")
    owner = Owner(dataclasses.replace(here, boot_id="earlier"), (Process(1, 1),), "", 0, "token")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "here", lambda: here)
        assert not owner.provably_dead


def test_excludes_while_processes_contend_and_die(tmp_path: Path) -> None:
    lock, inside = tmp_path / "lock", tmp_path / "inside"

    def start(seconds: float) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", CONTEND, str(lock), str(inside), str(seconds)])

    deaths = 0
    running = [start(2) for _ in range(4)]
    while running:
        process = running.pop(0)
        assert process.wait() in (0, 17), "two were inside at once"
        if process.returncode == 17:
            deaths += 1
            if deaths < 30:
                running.append(start(1))
    assert deaths >= 3
    assert Lock(lock).try_acquire()
    Lock(lock).release()


def test_says_so_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(UserError, match="hard links"):
        Lock(tmp_path / "lock").try_acquire()
    assert os.listdir(tmp_path) == []


class TestOwnedByAJob:
    @pytest.fixture
    def over(self, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        """Jobs that their scheduler says are over."""
        over: set[str] = set()
        monkeypatch.setattr(Jobs, "is_over", staticmethod(over.__contains__))
        return over

    def test_outlives_who_took_it(self, tmp_path: Path, over: set[str]) -> None:
        lock = Lock(tmp_path / "lock")
        assert lock.try_acquire("sweep x")
        lock.hand_over("cluster:12")
        lock.release()  # it is no longer ours to give
        assert not lock.try_acquire()
        owner = lock.owner
        assert owner is not None
        assert owner.job == "cluster:12"
        assert re.fullmatch(r"job 12 on cluster since .* for sweep x", owner.describe())

    def test_is_broken_once_the_job_is_over(self, tmp_path: Path, over: set[str]) -> None:
        lock = Lock(tmp_path / "lock")
        assert lock.try_acquire()
        lock.hand_over("cluster:12")
        over.add("cluster:12")
        assert lock.try_acquire()
        owner = lock.owner
        assert owner is not None
        assert owner.job == ""

    def test_is_given_back_by_that_job_alone(self, tmp_path: Path, over: set[str]) -> None:
        lock = Lock(tmp_path / "lock")
        assert lock.try_acquire()
        lock.hand_over("cluster:12")
        lock.release_by("cluster:13")
        assert lock.owner is not None
        lock.release_by("cluster:12")
        assert lock.owner is None
