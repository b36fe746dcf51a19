"""The ``mvcgc`` program: its verbs work from records and stage folders alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import Command, Ended, assert_mistake
from fake_sweep import FakeSweep

import mvcgc as package
from mvcgc import cli, run
from mvcgc.commands.registry import VERBS
from mvcgc.commands.root import root
from mvcgc.commands.verb import Verb
from mvcgc.config import compose
from mvcgc.plan import RowRecord

HOLDER = """
import sys, time
from pathlib import Path
from mvcgc.runs.folder import StageFolder
assert StageFolder(Path(sys.argv[1])).try_lock(sys.argv[2])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def mvcgc(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """``mvcgc`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MVCGC_ROOT", "runs")  # so that --root is undone after the test
    return Command(lambda: cli.main(sys.argv[1:]), "mvcgc", monkeypatch, capsys)


@pytest.fixture
def sweep(tmp_path: Path) -> FakeSweep:
    """Two rows: the first finished, the second in the middle of its cross stage."""
    fake = FakeSweep(tmp_path / "runs")
    first, second = fake.row("Init.", 0, cross=False), fake.row("MVCGC (k=5)", 0)
    fake.complete(first, r1=30.0, top1=40.0)
    fake.train(second.stages["cross"], range(1, 26))
    fake.write()
    return fake


def write_log(fake: FakeSweep, stage: str, attempt: int, rank: int, text: str) -> None:
    path = fake.folder(stage).log(attempt, rank)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def second(fake: FakeSweep) -> RowRecord:
    return fake.rows[1]


def lines(ended: Ended) -> list[list[str]]:
    """Return what was printed, in words."""
    assert ended.code == 0, ended
    return [line.split() for line in ended.out.splitlines() if line]


def test_status_shows_rows_by_stages(mvcgc: Command, sweep: FakeSweep) -> None:
    cross = second(sweep).stages["cross"]
    head, header, first, other, note = lines(mvcgc("status"))
    assert " ".join(head) == f"{sweep.record.id}: Loss variants, 4 of 7 stages finished"
    assert header == ["row", "seed", "init/rgb", "init/mv", "linear/demo", "retrieve/demo", "cross"]
    assert first == ["Init.", "0", "done", "done", "done", "done"]
    assert other == ["MVCGC", "(k=5)", "0", "done", "done", "-", "-", "stopped", "25", "%"]
    assert " ".join(note).startswith(f"{cross}: stopped at step 25 of 100")


def test_status_names_what_failed(mvcgc: Command, sweep: FakeSweep) -> None:
    cross = second(sweep).stages["cross"]
    sweep.end(cross, "failed", "NaN in step 26")
    ended = mvcgc("status", "ablation_loss")
    assert lines(ended)[3][-1] == "FAILED"
    assert f"{cross}: failed, NaN in step 26 (log: " in ended.out


def test_status_of_nothing(mvcgc: Command, sweep: FakeSweep) -> None:
    assert_mistake(
        mvcgc("status", "table9"), "table9: no sweep of this name or id under runs; there are ablation_loss"
    )
    assert_mistake(mvcgc("--root", "elsewhere", "status"), "elsewhere/sweeps has no sweep yet")


def test_logs_are_those_of_the_newest_attempt_on_all_ranks(mvcgc: Command, sweep: FakeSweep) -> None:
    cross = second(sweep).stages["cross"]
    write_log(sweep, cross, 1, 0, "long ago\n")
    write_log(sweep, cross, 2, 0, "rank zero\n")
    write_log(sweep, cross, 2, 1, "rank one\n")
    for wanted in ("cross", cross, cross.rpartition("-")[2]):
        ended = mvcgc("logs", wanted)
        assert [line for line in ended.out.splitlines() if not line.startswith("==>")] == [
            "rank zero",
            "rank one",
        ]
    assert [line[1].rpartition("/")[2] for line in lines(ended) if line[0] == "==>"] == ["2.0.log", "2.1.log"]


def test_logs_of_a_stage_that_cannot_be_told(mvcgc: Command, sweep: FakeSweep) -> None:
    assert_mistake(
        mvcgc("logs", "retrieve/demo"), f"retrieve/demo: 2 stages of {sweep.record.id} fit, give one of"
    )
    assert_mistake(mvcgc("logs", "warp"), "warp: no stage of this name, id or fingerprint")
    missing = mvcgc("logs", "cross")
    assert missing.code == 2
    assert missing.err.endswith("has written no log yet\n")


def test_logs_are_followed_until_the_stage_ends(sweep: FakeSweep) -> None:
    cross = second(sweep).stages["cross"]
    write_log(sweep, cross, 1, 0, "one\n")
    folder = sweep.folder(cross)
    assert folder.try_lock("test")  # runs, as far as others can see
    line = [sys.executable, "-m", "mvcgc.cli", "--root", str(sweep.root), "logs", "-f", "cross"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline().startswith("==>")
        assert follower.stdout.readline() == "one\n"
        with folder.log(1, 0).open("a") as log:
            log.write("two\n")
        assert follower.stdout.readline() == "two\n"
        folder.release()
        assert follower.wait(timeout=60) == 0


def test_cancel_stops_the_process_that_runs_the_sweep_and_no_other(mvcgc: Command, sweep: FakeSweep) -> None:
    stages = second(sweep).stages
    holders = []
    for name, purpose in (("cross", sweep.record.id), ("linear/demo", "another-sweep")):
        line = [sys.executable, "-c", HOLDER, str(sweep.folder(stages[name]).path), purpose]
        holders.append(subprocess.Popen(line, stdout=subprocess.PIPE, text=True))
    own, other = holders
    try:
        for holder in holders:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
        ended = mvcgc("cancel")
        assert ended.code == 0
        assert f"asked process {own.pid} on " in ended.out
        assert own.wait(timeout=60) == -signal.SIGTERM
        time.sleep(0.2)
        assert other.poll() is None
        assert_mistake(mvcgc("cancel"), f"{sweep.record.id} runs no stage")
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def test_tables_come_from_the_folders(mvcgc: Command, sweep: FakeSweep) -> None:
    ended = mvcgc("tables")
    assert ended.code == 0, ended
    assert "30.0" in ended.out
    assert "MVCGC (k=5)" in ended.out
    assert {path.suffix for path in Path("results/demo").iterdir()} == {".md", ".csv", ".tex", ".html"}
    assert mvcgc("tables", "ablation_loss").code == 0
    assert_mistake(mvcgc("tables", "table9"), "table9: no sweep of this name")


def test_plan_is_that_of_a_run(mvcgc: Command, sweep: FakeSweep) -> None:
    before = sorted(path for path in Path().rglob("*"))
    ended = mvcgc("plan", "seed=3")
    assert ended.code == 0
    assert "MVCGC [3]" in ended.out
    assert mvcgc("plan", "--why", "cross").out.startswith("cross-")
    assert_mistake(
        mvcgc("plan", "--why", "warp"), "--why warp: the plan has no such stage; it has init/rgb, "
    )
    assert_mistake(mvcgc("plan", "metod=cmc"), "there is no key metod: did you mean method?")
    assert sorted(path for path in Path().rglob("*")) == before


def test_root_is_where_runs_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MVCGC_ROOT", raising=False)
    assert root() == Path(compose([]).root)
    monkeypatch.setenv("MVCGC_ROOT", "/scratch")
    assert root() == Path(compose([]).root)


def test_data_report_needs_a_scan(mvcgc: Command) -> None:
    assert_mistake(mvcgc("data", "report"), "runs/manifests has no manifest yet: run mvcgc data scan")


def test_data_scan_reports_each_refused_file(mvcgc: Command, clips_dir: Path) -> None:
    ended = mvcgc("data", "scan", "dataset=folder", f"dataset.root={clips_dir}")
    assert ended.code == 0, ended
    assert "hevc exports no motion vectors; set dataset.mestimate=true" in ended.out
    assert mvcgc("data", "report").out == ended.out


def test_make_demo_makes_only_the_demo(mvcgc: Command) -> None:
    assert_mistake(
        mvcgc("data", "make-demo", "dataset=folder", "dataset.root=x"),
        "dataset=folder: only the demo's videos",
    )


def test_what_is_no_command(mvcgc: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        mvcgc("dance")
    assert raised.value.code == 2
    assert "plan" in capsys.readouterr().err
    assert "MVCGC_ROOT" in os.environ


def verbs_of(verbs: tuple[Verb, ...], before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """All verbs with those of groups, as words."""
    found = []
    for verb in verbs:
        words = (*before, verb.name)
        found += verbs_of(verb.verbs, words) if verb.verbs else [words]
    return found


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("verb", [words for words in verbs_of(VERBS) if words[0] not in ("run", "bench")])
def test_every_verb_takes_root_before_and_after_it(verb: tuple[str, ...], place: str) -> None:
    needed = {
        "logs": ["x"],
        "export": ["x", "y"],
        "coclr": ["x", "y"],
        "transcode": ["x", "y"],
        "completion": ["bash"],
    }
    words = [*verb, *needed.get(verb[-1], [])]
    option = ["--root", "elsewhere"]
    arguments = [*option, *words] if place == "before" else [*words, *option]
    assert cli._parse(cli._parser(arguments), arguments).root == "elsewhere"


def test_bench_takes_root_after_its_subject() -> None:
    arguments = ["bench", "train", "--root", "elsewhere"]
    assert cli._parse(cli._parser(arguments), arguments).root == "elsewhere"


def test_root_after_the_verb_is_the_one_that_counts(mvcgc: Command, sweep: FakeSweep) -> None:
    assert mvcgc("status", "--root", str(sweep.root)).out == mvcgc("--root", "runs", "status").out
    assert_mistake(mvcgc("--root", "runs", "status", "--root", "gone"), "gone/sweeps has no sweep yet")


def test_overrides_may_stand_around_options(mvcgc: Command) -> None:
    arguments = ["plan", "seed=3", "-m", "method=cmc", "--why", "cross", "method.k=2"]
    parsed = cli._parse(cli._parser(arguments), arguments)
    assert parsed.overrides == ["seed=3", "method=cmc", "method.k=2"]
    assert (parsed.multirun, parsed.why) == (True, "cross")
    with pytest.raises(SystemExit):
        cli._parse(cli._parser([]), ["plan", "seed=3", "--wyh", "cross"])
    with pytest.raises(SystemExit):
        cli._parse(cli._parser([]), ["status", "one", "two"])


def test_version(mvcgc: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        mvcgc("--version")
    assert raised.value.code == 0
    assert capsys.readouterr().out == f"mvcgc {package.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["hydra/launcher=plan", "seed=4"],
        ["-m", "seed=0,1", "hydra/launcher=plan"],
        ["--cfg", "job", "method=cmc"],
        ["--help"],
    ],
)
def test_run_is_the_module(
    mvcgc: Command, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = Command(run.main, "mvcgc.run", monkeypatch, capsys)
    wanted = module(*words)
    assert wanted.code == 0
    assert wanted.out
    assert mvcgc("run", *words) == wanted


@pytest.mark.parametrize("words", ["--root gone run", "run --root gone", "run --root=gone"])
def test_run_takes_root(mvcgc: Command, words: str) -> None:
    ended = mvcgc(*words.split(), "--cfg", "job", "--resolve")
    assert ended.code == 0
    assert "root: gone\n" in ended.out


def test_run_reports_mistakes_as_the_module_does(mvcgc: Command) -> None:
    assert_mistake(mvcgc("run", "metod=cmc"), "there is no key metod: did you mean method?")
    assert_mistake(mvcgc("run", "sweeps=ablation_loss"), "sweeps=ablation_loss: a sweep has many rows")


HEAVY = ("torch", "mlflow", "av", "hydra", "omegaconf", "numpy", "pandas", "matplotlib", "submitit")

IMPORTED = f"""
import sys
from mvcgc import cli
try:
    code = cli.main(sys.argv[1:])
except SystemExit as leaving:
    code = leaving.code
assert code == 0, code
print("imported:", *[name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize(
    "words", ["status", "logs cross", "cancel cross", "--help", "--version", "completion bash"]
)
def test_what_login_nodes_run_imports_nothing_heavy(sweep: FakeSweep, words: str) -> None:
    cross = second(sweep).stages["cross"]
    write_log(sweep, cross, 1, 0, "one\n")
    held = [sys.executable, "-c", HOLDER, str(sweep.folder(cross).path), sweep.record.id]
    with subprocess.Popen(held, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        environment = {**os.environ, "MVCGC_ROOT": str(sweep.root)}
        command = [sys.executable, "-c", IMPORTED, *words.split()]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        holder.kill()
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "imported:"
