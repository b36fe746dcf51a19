"""Scanning: each file once, in parallel, going on after an interruption, with a reason for each bad file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from data_factories import write_video

from mvcgc.data.index import scan as scan_module
from mvcgc.data.index import workers as workers_module
from mvcgc.data.index.manifest import Manifest, Rejected, load, publish
from mvcgc.data.index.scan import Fact, scan
from mvcgc.video import probe


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for number in range(4):
        write_video(root / f"{number}.avi", frames=10 + number, seed=number)
    return root


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Probe in this process; gives the paths that were probed."""
    probed: list[str] = []

    def pool(function, jobs, workers, broke):
        for job in jobs:
            probed.append(job[1])
            yield job, function(job)

    monkeypatch.setattr(workers_module, "_in_pool", pool)
    return probed


NAMES = ["0.avi", "1.avi", "2.avi", "3.avi"]


def test_processes_find_what_the_probe_finds(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = scan(videos, NAMES, tmp_path / "cache.jsonl", 2, "scanning")
    assert set(facts) == set(NAMES)
    for name, fact in facts.items():
        stat = (videos / name).stat()
        assert fact == Fact(name, stat.st_size, stat.st_mtime_ns, probe(videos / name))
    assert "scanning: 4 of 4" in capsys.readouterr().err


def test_a_second_scan_opens_nothing(videos: Path, tmp_path: Path, in_process: list[str]) -> None:
    cache = tmp_path / "cache.jsonl"
    first = scan(videos, NAMES, cache, 1, "scanning")
    assert in_process == NAMES
    assert scan(videos, NAMES, cache, 1, "scanning") == first
    assert in_process == NAMES


def test_a_scan_goes_on_where_it_was_torn(videos: Path, tmp_path: Path, in_process: list[str]) -> None:
    cache = tmp_path / "cache.jsonl"
    whole = scan(videos, NAMES, cache, 1, "scanning")
    lines = cache.read_bytes().splitlines(keepends=True)
    cache.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    in_process.clear()
    assert scan(videos, NAMES, cache, 1, "scanning") == whole
    assert in_process == NAMES[2:]
    in_process.clear()
    assert scan(videos, NAMES, cache, 1, "scanning") == whole
    assert in_process == []


def test_an_interrupted_scan_keeps_what_it_found(
    videos: Path, tmp_path: Path, in_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache.jsonl"
    real = scan_module.probe_file

    def interrupted(job):
        if job[1] == "2.avi":
            raise KeyboardInterrupt
        return real(job)

    monkeypatch.setattr(scan_module, "probe_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scan(videos, NAMES, cache, 1, "scanning")
    monkeypatch.setattr(scan_module, "probe_file", real)
    in_process.clear()
    scan(videos, NAMES, cache, 1, "scanning")
    assert in_process == NAMES[2:]


def test_a_changed_file_is_probed_again(tmp_path: Path, in_process: list[str]) -> None:
    write_video(tmp_path / "a.avi", frames=10)
    cache = tmp_path / "cache.jsonl"
    assert scan(tmp_path, ["a.avi"], cache, 1, "scanning")["a.avi"].info.frames == 10
    write_video(tmp_path / "a.avi", frames=14)
    assert scan(tmp_path, ["a.avi"], cache, 1, "scanning")["a.avi"].info.frames == 14
    os.utime(tmp_path / "a.avi", ns=(0, 0))
    scan(tmp_path, ["a.avi"], cache, 1, "scanning")
    assert len(in_process) == 3


def test_another_version_of_the_probe_trusts_no_old_facts(
    videos: Path, tmp_path: Path, in_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache.jsonl"
    scan(videos, NAMES, cache, 1, "scanning")
    monkeypatch.setattr(scan_module, "VERSION", scan_module.VERSION + 1)
    scan(videos, NAMES, cache, 1, "scanning")
    assert in_process == NAMES * 2


def test_bad_files_have_reasons_and_stop_nothing(tmp_path: Path, in_process: list[str]) -> None:
    write_video(tmp_path / "good.avi", frames=10)
    (tmp_path / "text.avi").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    whole = (tmp_path / "good.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    names = ["good.avi", "text.avi", "empty.mp4", "cut.avi", "gone.avi"]
    facts = scan(tmp_path, names, tmp_path / "cache.jsonl", 1, "scanning")
    assert facts["good.avi"].info.damage == ""
    assert facts["text.avi"].reason == "unreadable"
    assert facts["empty.mp4"].reason == "unreadable"
    assert facts["cut.avi"].info is None or facts["cut.avi"].info.damage
    assert (facts["gone.avi"].reason, facts["gone.avi"].detail) == ("unreadable", "No such file or directory")
    assert all("\n" not in fact.detail for fact in facts.values())


CRASHING = """
import os, sys
from pathlib import Path
from mvcgc.data.index import scan as module

real = module.probe_file

def crashing(job):
    if job[1] == "2.avi":
        os.kill(os.getpid(), 11)
    return real(job)

module.probe_file = crashing  # also in the workers, which import this file as __mp_main__
if __name__ == "__main__":
    names = ["0.avi", "1.avi", "2.avi", "3.avi"]
    facts = module.scan(Path(sys.argv[1]), names, Path(sys.argv[2]), 2, "scanning")
    for name in names:
        print(name, facts[name].reason, facts[name].info.frames if facts[name].info else 0)
"""


def test_names_that_are_not_utf8_and_pipes_are_refused_and_reported(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    write_video(root / "sound.avi")
    odd = os.fsdecode(b"caf\xe9.avi")
    write_video(root / "odd.avi").rename(root / odd)
    os.mkfifo(root / "pipe.avi")
    names = ["sound.avi", odd, "pipe.avi"]
    for _ in range(2):
        facts = scan(root, names, tmp_path / "cache.jsonl", 2, "scanning")
        assert facts["sound.avi"].info is not None
        assert (facts[odd].reason, "not UTF-8" in facts[odd].detail) == ("unreadable", True)
        assert (facts["pipe.avi"].reason, facts["pipe.avi"].detail) == ("unreadable", "is no regular file")
    rejected = [
        Rejected(fact.path, "train", fact.reason, fact.detail) for fact in facts.values() if not fact.info
    ]
    path = publish(Manifest("odd", root, [], [], rejected, carved=False), tmp_path)
    assert load(path).rejected == rejected
    assert "caf\\udce9.avi (train): its name is not UTF-8" in path.with_suffix(".txt").read_text()


def test_a_file_that_kills_its_process_is_named_and_the_others_survive(videos: Path, tmp_path: Path) -> None:
    program = tmp_path / "crashing.py"
    program.write_text(CRASHING)
    done = subprocess.run(
        [sys.executable, program, videos, tmp_path / "cache.jsonl"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["0.avi  10", "1.avi  11", "2.avi crashed 0", "3.avi  13"]


SLOW = """
import sys, time
from pathlib import Path
from mvcgc.data.index import scan as module

real = module.probe_file

def slow(job):
    if job[1] != "0.avi":
        time.sleep(0.5)
    return real(job)

module.probe_file = slow
if __name__ == "__main__":
    names = ["0.avi", "1.avi", "2.avi", "3.avi"] * 50
    module.scan(Path(sys.argv[1]), names, Path(sys.argv[2]), 1, "scanning")
"""


def alive(group: int) -> list[str]:
    """State and name of the running processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        state, _, its_group = rest.split()[:3]
        if int(its_group) == group and state != "Z":
            found.append(f"{state} {name}")
    return found


def test_ctrl_c_ends_the_scan_and_its_processes(videos: Path, tmp_path: Path) -> None:
    program, cache = tmp_path / "slow.py", tmp_path / "cache.jsonl"
    program.write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, program, videos, cache], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 60
        while not (cache.exists() and cache.read_bytes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert b"KeyboardInterrupt" in errors
    assert process.returncode != 0
    assert json.loads(cache.read_bytes().splitlines()[0])["path"] == "0.avi"
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(process.pid) == []
