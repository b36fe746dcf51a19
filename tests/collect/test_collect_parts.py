"""The parts of collecting that need no MLflow."""

import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from fake_sweep import FakeSweep, metrics
from hypothesis import given
from hypothesis import strategies as st

from mvcgc.collect import CollectError, TrackingConfig, ui
from mvcgc.collect.cursors import Cursor, TakenBack, advance, unsent
from mvcgc.collect.deliver import Collector
from mvcgc.collect.filesystem import network_filesystem
from mvcgc.collect.follow import follow, stopping
from mvcgc.collect.names import NAME_LENGTH, key_name, metric_name, value_text
from mvcgc.collect.server import check_folder, comparison_page, server_command
from mvcgc.collect.sources import Facts, root_id, sources
from mvcgc.collect.transfer import Collected
from mvcgc.collect.view import Sample
from mvcgc.errors import UserError


class TestNames:
    @pytest.mark.parametrize(
        ("stage", "metric", "expected"),
        [
            ("cross", "loss", "cross/loss"),
            ("retrieve/ucf101", "r1_rgb", "retrieve_ucf101/r1_rgb"),
            ("linear/a b", "top1@1 (%)/x", "linear_a b/top1_1 ____x"),
            ("..", ".", "__/_"),
        ],
    )
    def test_of_metrics_have_one_slash(self, stage: str, metric: str, expected: str) -> None:
        assert metric_name(stage, metric) == expected

    @given(st.text(), st.text())
    def test_mlflow_takes_every_metric_name(self, stage: str, metric: str) -> None:
        from mlflow.utils.validation import _validate_metric_name

        name = metric_name(stage, metric)
        _validate_metric_name(name)
        assert len(name) <= NAME_LENGTH
        assert name.count("/") == 1

    @given(st.text())
    def test_mlflow_takes_every_key(self, key: str) -> None:
        from mlflow.utils.validation import _validate_param_name, _validate_tag_name

        _validate_param_name(key_name(key))
        _validate_tag_name(key_name(key))
        assert len(key_name(key)) <= NAME_LENGTH

    @pytest.mark.parametrize(
        ("value", "expected"),
        [(True, "true"), (None, "None"), (["rgb", "mv"], "rgb+mv"), (0.1, "0.1"), ("x" * 9, "xxxxx…")],
    )
    def test_values(self, value: object, expected: str) -> None:
        assert value_text(value, 6) == expected


def samples(name: str, steps: range, at_ms: int = 0) -> list[Sample]:
    """A curve."""
    return [Sample(name, step, at_ms + step, float(step)) for step in steps]


class TestCursors:
    @given(st.lists(st.integers(0, 12), max_size=6), st.integers(1, 5))
    def test_in_any_portions_everything_is_sent_once_in_order(self, cuts: list[int], batch: int) -> None:
        whole = {"a": samples("a", range(1, 13)), "b": samples("b", range(2, 13, 2))}
        cursors: dict[str, Cursor] = {}
        sent: list[Sample] = []
        for cut in [*sorted(cuts), 12]:
            grown = {name: [s for s in curve if s.step <= cut] for name, curve in whole.items()}
            fresh = unsent(grown, cursors)
            for start in range(0, len(fresh), batch):
                sent += fresh[start : start + batch]
                advance(cursors, fresh[start : start + batch])
        assert sent == sorted(sent, key=lambda s: (s.step, s.ts_ms, s.name))
        assert sorted(sent, key=lambda s: (s.name, s.step)) == whole["a"] + whole["b"]

    @pytest.mark.parametrize(
        "now",
        [
            {},
            {"a": samples("a", range(1, 4))},
            {"a": samples("a", range(1, 4)) + samples("a", range(4, 9), at_ms=100)},
            {"a": samples("a", range(2, 9))},
        ],
        ids=["gone", "shorter", "other end", "other beginning"],
    )
    def test_what_was_taken_back_is_noticed(self, now: dict[str, list[Sample]]) -> None:
        cursors: dict[str, Cursor] = {}
        advance(cursors, samples("a", range(1, 6)))
        with pytest.raises(TakenBack):
            unsent(now, cursors)


class TestSources:
    def test_the_root_keeps_its_name_when_it_moves(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        name = root_id(tmp_path / "a")
        (tmp_path / "a").rename(tmp_path / "b")
        assert root_id(tmp_path / "b") == name
        (tmp_path / "a").mkdir()
        assert root_id(tmp_path / "a") != name

    def test_rows_with_other_stages_are_other_runs(self, tmp_path: Path) -> None:
        for suffix, name in (("0000", "x"), ("1111", "y")):
            sweep = FakeSweep(tmp_path, suffix=suffix)
            row = sweep.row("Init.", 0, cross=False)
            row.stages["linear/demo"] = sweep.stage("linear/demo", name)
            sweep.write()
        assert len(sources(tmp_path, "root").rows) == 2

    @pytest.mark.parametrize(
        ("finished", "status"),
        [
            (("linear/demo", "retrieve/demo"), "FINISHED"),
            (("init/rgb", "init/mv", "cross", "linear/demo"), "SCHEDULED"),
            ((), "SCHEDULED"),
        ],
    )
    def test_a_row_is_finished_when_its_last_stages_are(
        self, tmp_path: Path, finished: tuple[str, ...], status: str
    ) -> None:
        sweep = FakeSweep(tmp_path)
        row = sweep.row("MVCGC", 0)
        for name in finished:
            sweep.finish(row.stages[name], figure=1.0)
        sweep.write()
        found = sources(tmp_path, "root")
        view = Facts(tmp_path, "root").view(next(iter(found.rows.values())))
        assert view.status == status
        assert view.tags["stages"] == f"{len(finished)} of 5 finished"


@dataclass
class Scripted:
    """A collector that does what it is told, pass by pass, and asks for the end after the last."""

    script: list[str | int]
    stop: threading.Event
    passes: int = 0
    rebuilds: list[bool] = field(default_factory=list)

    def once(self, rebuild: bool = False) -> Collected:
        """The next line of the script: points sent, or an error."""
        outcome = self.script[self.passes]
        self.passes += 1
        if self.passes == len(self.script) - 1:
            self.stop.set()
        if isinstance(outcome, str):
            raise CollectError(outcome)
        return Collected("1", points=outcome, warnings=["a bad file"])


class TestFollow:
    def test_an_outage_is_told_once_and_so_is_its_end(self) -> None:
        stop, told = threading.Event(), list[str]()
        collector = Scripted([3, "no answer", "no answer", "no answer", 5, 0, 0], stop)
        follow(cast(Collector, collector), stop, every_s=0.001, say=told.append)
        assert collector.passes == 7
        assert told == [
            "warning: a bad file",
            "warning: no answer; nothing is lost, trying again",
            "collecting again: 5 points sent",
        ]

    def test_a_last_pass_after_the_stop(self) -> None:
        stop = threading.Event()
        stop.set()
        collector = Scripted([1], stop)
        follow(cast(Collector, collector), stop, every_s=60.0, say=list[str]().append)
        assert collector.passes == 1

    def test_the_first_signal_asks_and_the_second_interrupts(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with stopping() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGTERM) is before


class TestConfig:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"experiment": "a/b"}, "tracking.experiment='a/b': "),
            ({"experiment": ""}, "tracking.experiment='': "),
            ({"uri": "file:///tmp/mlruns"}, "tracking.uri='file:///tmp/mlruns': give sqlite"),
            ({"uri": "localhost:5000"}, "tracking.uri='localhost:5000': give sqlite"),
            ({"timeout_s": 0.0}, "tracking.timeout_s=0.0: "),
        ],
    )
    def test_mistakes_are_one_line(self, wrong: dict[str, str], message: str) -> None:
        with pytest.raises(UserError) as caught:
            TrackingConfig(**wrong)  # type: ignore[arg-type]
        assert str(caught.value).startswith(message)

    def test_the_default_store_is_in_the_root(self, tmp_path: Path) -> None:
        assert TrackingConfig().store_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
        assert TrackingConfig().store_file(tmp_path) == tmp_path / "mlflow.db"
        assert TrackingConfig(uri="https://host:1").store_file(tmp_path) is None


class TestFilesystem:
    MOUNTS = (
        "/dev/a / ext4 rw 0 0\nhost:/x /home nfs4 rw 0 0\n"
        "/dev/b /home/local ext4 rw 0 0\nh:/y /my\\040runs lustre rw 0 0\n"
    )

    @pytest.mark.parametrize(
        ("file", "kind"),
        [
            ("/srv/mlflow.db", ""),
            ("/home/me/mlflow.db", "nfs4"),
            ("/home/local/mlflow.db", ""),
            ("/homely/mlflow.db", ""),
            ("/my runs/mlflow.db", "lustre"),
        ],
    )
    def test_the_innermost_mount_counts(self, tmp_path: Path, file: str, kind: str) -> None:
        (tmp_path / "mounts").write_text(self.MOUNTS)
        assert network_filesystem(Path(file), tmp_path / "mounts") == kind

    def test_where_there_is_no_telling(self, tmp_path: Path) -> None:
        assert network_filesystem(tmp_path, tmp_path / "nothing") == ""


class TestServer:
    def test_command(self, tmp_path: Path) -> None:
        command = server_command(tmp_path, TrackingConfig(), 5001, None)
        assert command[1:4] == ["-m", "mlflow", "server"]
        assert command[command.index("--workers") + 1] == "1"
        assert command[command.index("--host") + 1] == "127.0.0.1"
        assert "--uds" not in " ".join(command)
        private = server_command(tmp_path, TrackingConfig(), 5001, tmp_path / "s" / "ui.sock")
        assert f"--uds {tmp_path}/s/ui.sock" in private[-1]

    def test_page(self) -> None:
        assert comparison_page("http://x", "3") == (
            "http://x/#/experiments/3/runs?workflowType=machine_learning&compareRunsMode=CHART"
            "&searchFilter=tags.kind%20%3D%20%27row%27"
        )

    def test_of_a_store_that_has_a_server(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"tracking\.uri=http://host:1: a server shows its runs itself"):
            ui(tmp_path, TrackingConfig(uri="http://host:1"))

    def test_a_socket_in_a_folder_that_is_open_to_others(self, tmp_path: Path) -> None:
        (tmp_path / "open").mkdir(mode=0o755)
        with pytest.raises(UserError, match=r"others may enter .*chmod 700"):
            ui(tmp_path, TrackingConfig(), socket=tmp_path / "open" / "ui.sock")

    def test_a_socket_that_a_killed_server_left_is_no_hindrance(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        path = tmp_path / "ui.sock"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            with pytest.raises(UserError, match="in use"):
                check_folder(path)
        check_folder(path)
        assert not path.exists()

    def test_a_port_that_is_taken(self, tmp_path: Path) -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            with pytest.raises(UserError, match=r"--port \d+: Address already in use"):
                ui(tmp_path, TrackingConfig(), port=server.getsockname()[1])


def test_neither_stages_nor_commands_import_mlflow() -> None:
    modules = (
        "mvcgc.run, mvcgc.cli, mvcgc.sweep, mvcgc.commands.data, mvcgc.commands.weights, mvcgc.bench.commands"
    )
    program = f"import sys, {modules}, mvcgc.stages.runner; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_metrics_record_is_that_of_the_journal(tmp_path: Path) -> None:
    """The journals that these tests write by hand are read by the journal's own reader."""
    from mvcgc.runs.journal import read

    sweep = FakeSweep(tmp_path)
    stage = sweep.row("Init.", 0).stages["cross"]
    sweep.train(stage, range(1, 3))
    sweep.journal(stage, [metrics(3, 99, loss="nan")])
    folded = read(sweep.folder(stage).journal)
    assert [point.step for point in folded.points["loss"]] == [1, 2, 3]
    assert folded.damaged_lines == 0
