"""``python -m mvcgc.run``: from the command line to tables and exit codes. No stage runs here."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command, assert_mistake
from plan_factories import finish

from mvcgc import plan, run, sweep
from mvcgc.collect import CollectError
from mvcgc.launch.local import execute as local
from mvcgc.launch.report import Failure, Report
from mvcgc.video import encode

SMALL = ("downstream.linear.batch_size=2", "tracking=off")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """``python -m mvcgc.run`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("MVCGC_ROOT", "MVCGC_DATA"):
        monkeypatch.delenv(name, raising=False)
    return Command(run.main, "mvcgc.run", monkeypatch, capsys)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of small moving pictures, enough for a training, a validation and a test part."""
    root = tmp_path_factory.mktemp("made") / "videos"
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    for label in ("left", "right"):
        (root / label).mkdir(parents=True)
        for number in range(12):
            step = 2 if label == "right" else -2
            frames = [np.roll(picture, step * t + number, axis=1) for t in range(12)]
            encode(root / label / f"{number:02d}.avi", frames)
    return root


@pytest.fixture
def on_videos(videos: Path) -> tuple[str, ...]:
    """Runs on the videos, with a root of their own, in which they are scanned but once."""
    return ("dataset=folder", f"dataset.root={videos}", f"root={videos.parent / 'runs'}", *SMALL)


@pytest.fixture
def execute(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[plan.Graph]]:
    """Puts an executor in place that finishes all stages but those of a name; returns the graphs it gets."""

    def place(failing: str) -> list[plan.Graph]:
        seen: list[plan.Graph] = []

        def stand_in(graph: plan.Graph, root: Path, *, purpose: str = "") -> Report:
            assert purpose
            seen.append(graph)
            report = Report()
            for stage in graph.stages.values():
                bad = [parent.id for parent in stage.parents.values() if parent.id not in report.done]
                if stage.name == failing:
                    report.failed[stage.id] = Failure("out of luck", None)
                elif bad:
                    report.blocked[stage.id] = bad[0]
                else:
                    finish(stage, root, r1_rgb=41.0, top1_rgb=43.0)
                    report.done.add(stage.id)
            return report

        monkeypatch.setattr(local, "execute", stand_in)
        return seen

    return place


def test_the_plan_of_a_single_run_shows_what_would_run_and_leaves_nothing(command: Command) -> None:
    ended = command("hydra/launcher=plan", "seed=4")
    assert (ended.code, ended.err) == (0, "")
    for stage in ("init/rgb", "init/mv", "cross", "linear/demo", "retrieve/demo"):
        assert stage in ended.out
    assert "7 stages, 7 submit" in ended.out
    assert "Init. [4], MVCGC [4]" in ended.out
    assert "clip-epochs" in ended.out
    assert list(Path().iterdir()) == []


def test_the_plan_of_a_sweep_at_the_papers_scale_needs_no_data(command: Command) -> None:
    ended = command("-m", "sweeps=ablation_mv_resolution", "scale=ucf101", "seed=0,1", "hydra/launcher=plan")
    assert (ended.code, ended.err) == (0, "")
    # init/rgb is shared by all rows, the cost of testing by both seeds; of the rest each row has its own.
    assert f"{2 * (1 + 12 * 4) + 12} stages" in ended.out
    assert "ucf101 is not scanned: its costs are estimates" in ended.out
    assert list(Path().iterdir()) == []


def test_a_single_run_ends_in_its_table(
    command: Command, videos: Path, on_videos: tuple[str, ...], execute: Callable[[str], list[plan.Graph]]
) -> None:
    graphs = execute("none of them")
    ended = command(*on_videos, "downstream=probe", "name=mine", "seed=100")
    assert ended.code == 0, ended
    (graph,) = graphs
    assert [planned.row.name for planned in graph.rows] == ["Init.", "mine"]
    assert "mine" in ended.out
    assert "41.0" in ended.out
    assert f"next: mvcgc --root {videos.parent / 'runs'} status" in ended.out
    table = Path("results/few_steps/run-videos.md").read_text()
    assert "mine" in table
    assert "Init." in table
    record = plan.read_record(plan.list_records(videos.parent / "runs")[-1])
    assert (record.name, record.table.baseline) == ("run-videos", "Init.")
    assert [path.name for path in Path().iterdir()] == ["results"]  # nothing of Hydra's

    again = command(*on_videos, "downstream=probe", "seed=100", "hydra/launcher=plan")
    assert "7 cached" in again.out


def test_a_failed_stage_marks_its_rows_and_the_exit_code(
    command: Command, on_videos: tuple[str, ...], execute: Callable[[str], list[plan.Graph]]
) -> None:
    graphs = execute("cross")
    ended = command("-m", "method=init,cmc", "seed=0,1", "downstream=retrieve", *on_videos)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    (graph,) = graphs
    assert [(planned.row.name, planned.row.seed) for planned in graph.rows] == [
        ("Init.", 0),
        ("Init.", 1),
        ("CMC", 0),
        ("CMC", 1),
    ]
    assert "41.0" in ended.out  # the rows that did not need it
    assert "CMC" in ended.out


def test_mlflow_fails_no_run(
    command: Command,
    on_videos: tuple[str, ...],
    execute: Callable[[str], list[plan.Graph]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise CollectError("the server is down")

    execute("none of them")
    monkeypatch.setattr(sweep, "collect", refuse)
    ended = command(*on_videos, "seed=200", "tracking=local")
    assert ended.code == 0
    assert "warning: the server is down" in ended.err


def test_bugs_keep_their_traceback(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(plan, "build", broken)
    with pytest.raises(ValueError, match="a bug"):
        command("hydra/launcher=plan")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("method.k=many", "method.k=many: must be a whole number"),
        ("method=mvcg", "method=mvcg: choose one of mvcgc, "),
        ("method.k=1,2", "method.k=1,2: one value is wanted here; several runs take -m"),
        ("sweeps=ablation_loss", "sweeps=ablation_loss: a sweep has many rows, so it takes -m"),
        ("hydra/launcher=basic", "hydra/launcher=basic: choose one of local, plan, slurm"),
        ("--cfg job -m", "Only one of --run, --multirun, --cfg"),
        ("views=mv hydra/launcher=plan", "method=mvcgc compares 2 views, views=[mv] has 1"),
    ],
)
def test_mistakes_in_the_configuration(command: Command, arguments: str, line: str) -> None:
    assert_mistake(command(*arguments.split()), line)
    assert list(Path().iterdir()) == []


def ucf101_without_videos(root: Path) -> str:
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (root / "Archery").mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n")
    (lists / "trainlist01.txt").write_text("Archery/v_Archery_g08_c01.avi 1\n")
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\n")
    return f"dataset=ucf101 scale=demo dataset.root={root}"


def test_missing_dataset_folder(command: Command) -> None:
    ended = command("dataset=ucf101", "scale=demo", "dataset.root=/nowhere")
    assert_mistake(ended, "dataset.root=/nowhere: no such folder")


def test_split_file_that_names_absent_videos(command: Command, tmp_path: Path) -> None:
    ended = command(*ucf101_without_videos(tmp_path / "ucf").split())
    assert_mistake(ended, "split 1 in ")
    assert "names 2 of 2 videos that are not under" in ended.err


def test_empty_dataset(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_mistake(command("dataset=folder", "dataset.root=empty"), "dataset.root=empty: holds no video")


def test_batch_larger_than_the_dataset(command: Command, on_videos: tuple[str, ...]) -> None:
    command(*on_videos, "cross.batch_size=64")  # scans, with progress on stderr
    assert_mistake(command(*on_videos, "cross.batch_size=64"), "cross.batch_size=64: ")


def test_help_is_worth_reading(command: Command) -> None:
    ended = command("--help")
    assert (ended.code, ended.err) == (0, "")
    for words in (
        "python -m mvcgc.run -m sweeps=ablation_loss seed=0,1,2",
        "hydra/launcher=plan",
        "dataset=folder dataset.root=DIR",
        "sweeps: ablation_k, ablation_loss, ablation_mv_resolution, figure1, figure4, table1",
        "method: cmc, coclr, infonce, init, mvcgc, mvcgc_no_init, mvcgc_union, none",
        "results/<scale>/<table>.md",
        "MVCGC_ROOT",
    ):
        assert words in ended.out
    # Hydra lists the options of a group in one line, however many.
    ours = [line for line in ended.out.splitlines() if not re.match(r"\S+: ", line)]
    assert max(map(len, ours)) <= 120


def test_started_as_a_program(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "mvcgc.run", "metod.k=3"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no key metod.k: did you mean method.k?\n"
    assert list(tmp_path.iterdir()) == []
