"""Stands in for ``python -m mvcgc.stages`` in tests of scheduling: ``fake_stage.py <root> <folder>``.

``<root>/behaviour.json`` says by stage name what to do: ``seconds`` to take, ``exit`` code, ``reason`` in the
journal, ``kill`` this rank with SIGKILL, ``stubborn`` (deaf to SIGTERM), ``done`` (whether to write
DONE.json), ``once`` (behave so in the first attempt only), ``ranks`` (only these; the others wait for ever,
or ``abort_after`` so many seconds, as NCCL's watchdog has them do), ``note`` (what a failing rank leaves).
What happens goes to ``<root>/events``.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from mvcgc.runs.folder import StageFolder
from mvcgc.runs.journal import JournalWriter, Status
from mvcgc.stages import rank_failures

root, folder = Path(sys.argv[1]), StageFolder(Path(sys.argv[2]))
name = folder.path.relative_to(root / "stages").as_posix().rpartition("-")[0]
rank, attempt = int(os.environ["RANK"]), int(os.environ["MVCGC_ATTEMPT"])
known = json.loads((root / "behaviour.json").read_text())
behaviour = known.get(name, known.get("*", {}))
if behaviour.get("once") and attempt > 1:
    behaviour = {}
chosen = rank in behaviour.get("ranks", [rank])
stopped = []


def note(what: str) -> None:
    event = {
        "what": what,
        "stage": name,
        "id": folder.path.relative_to(root / "stages").as_posix(),
        "rank": rank,
        "attempt": attempt,
        "time": time.time(),
        "gpus": os.environ["CUDA_VISIBLE_DEVICES"],
        "threads": os.environ["OMP_NUM_THREADS"],
        "world": os.environ["WORLD_SIZE"],
        "pid": os.getpid(),
    }
    descriptor = os.open(root / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (json.dumps(event) + "\n").encode())
    os.close(descriptor)


def checkpoint() -> None:
    if rank == 0:
        beside = folder.checkpoint / "00000007"
        beside.mkdir(parents=True, exist_ok=True)
        (beside / "meta.json").write_text("{}")


if behaviour.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
note("start")
print(f"{name} rank {rank}: here I am", flush=True)
journal = JournalWriter(folder.journal, attempt) if rank == 0 else None
if journal:
    journal.begin(10, "step")
    journal.metrics(4, {"loss": 2.5, "clips_per_s": 100.0})
    journal.flush()
end = time.monotonic() + (behaviour.get("seconds", 0.1) if chosen else behaviour.get("abort_after", 600))
while time.monotonic() < end:
    time.sleep(0.01)
    if stopped:
        checkpoint()
        if journal:
            journal.end(Status.INTERRUPTED, "SIGTERM")
            journal.close()
        note("stopped")
        sys.exit(3)
if not chosen:
    os.kill(os.getpid(), signal.SIGABRT)
if behaviour.get("note"):
    rank_failures.leave_note(folder, attempt, rank, behaviour["note"])
if behaviour.get("kill"):
    os.kill(os.getpid(), signal.SIGKILL)
code = behaviour.get("exit", 0)
if rank == 0:
    assert journal is not None
    if code == 3:
        checkpoint()
        journal.end(Status.INTERRUPTED, "asked to")
    elif code and "reason" in behaviour:
        journal.end(Status.FAILED, behaviour["reason"])
    if behaviour.get("done", code == 0):
        (folder.path / "encoder.pt").write_text(name)
        journal.end(Status.DONE)
        folder.write_done([Path("encoder.pt")], {"loss": 0.5})
    journal.close()
if code:
    print(f"{name} went wrong", flush=True)
note("end")
sys.exit(code)
