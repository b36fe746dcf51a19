"""``mvcgc ui`` as a process of its own: what a browser shows, that it follows, and that it ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from fake_sweep import FakeSweep, metrics
from mlflow_seen import client, experiment_of, one

from mvcgc.collect import CollectError, TrackingConfig, collect
from mvcgc.collect.deliver import Collector

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MVCGC = "MVCGC (k=5), seed 0"
PATIENCE_S = 120.0
UI = """
import sys
from pathlib import Path
from mvcgc.collect import TrackingConfig, ui
sys.exit(ui(Path(sys.argv[1]), TrackingConfig(), port=int(sys.argv[2])))
"""
CHROMIUM_FLAGS = [
    "--no-sandbox",  # it refuses to run as root otherwise
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Ui:
    """A running ``ui``: its process, its sweep, its port and the file of what it prints."""

    process: "subprocess.Popen[bytes]"
    sweep: FakeSweep
    port: int
    output: Path

    @property
    def page(self) -> str:
        """The address that it printed."""
        first = self.output.read_text().splitlines()[0]
        assert first.startswith(f"MLflow is at http://127.0.0.1:{self.port}/#/experiments/"), first
        return first.removeprefix("MLflow is at ")

    @property
    def base(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, blank_store: Path) -> Iterator[Ui]:
    """The interface on two rows, one finished, one in the middle."""
    root = tmp_path_factory.mktemp("shown")
    shutil.copy(blank_store, root / "mlflow.db")
    sweep = FakeSweep(root)
    sweep.complete(sweep.row("Init.", 0, cross=False), r1=27.0, top1=40.0)
    sweep.train(sweep.row("MVCGC (k=5)", 0).stages["cross"], range(1, 6))
    sweep.write()
    collect(root, TrackingConfig())
    port = free_port()
    command = [sys.executable, "-c", UI, str(root), str(port)]
    output = tmp_path_factory.mktemp("output") / "ui.txt"
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: process.poll() is not None or "Ctrl-C ends it." in output.read_text())
        assert process.poll() is None, output.read_text()
        yield Ui(process, sweep, port, output)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], bool]) -> None:
    """Look again and again, for as long as a busy machine may need."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.2)


def processes_naming(text: str) -> list[int]:
    """Processes with a text in their command line; servers name their store there or in the environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                described = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if text.encode() in described:
                found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Debian's Chromium, without a screen."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: "Browser", address: str) -> Iterator["Page"]:
    """A page in a fresh profile."""
    context = browser.new_context(viewport={"width": 1500, "height": 1600})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.goto(address)
    yield page
    context.close()


class TestBrowser:
    def test_the_printed_page_compares_the_curves_of_the_rows(self, browser: "Browser", shown: Ui) -> None:
        with opened(browser, shown.page) as page:
            for name in ("Init., seed 0", MVCGC):
                page.get_by_role("link", name=name).first.wait_for()
            for chart in ("cross/loss", "init_mv/loss"):  # further down they are drawn when one scrolls there
                page.get_by_text(chart, exact=True).first.wait_for()
            page.get_by_text("2 matching runs").wait_for()
            assert page.get_by_text("table of ablation_loss").count() == 0

    def test_runs_compare_side_by_side(self, browser: "Browser", shown: Ui) -> None:
        runs = [one(shown.base, name).run_id for name in ("Init., seed 0", MVCGC)]
        experiments = [experiment_of(client(shown.base))]
        query = f"runs={quote(json.dumps(runs))}&experiments={quote(json.dumps(experiments))}"
        with opened(browser, f"{shown.base}/#/compare-runs?{query}") as page:
            page.get_by_text("Comparing 2 Runs from 1 Experiment").first.wait_for()
            for text in ("Init., seed 0", MVCGC, "init_rgb/loss", "cross/loss", "retrieve_demo/r1_rgb"):
                page.get_by_text(text, exact=True).first.wait_for(state="attached")


class TestUi:
    def test_follows_the_journals(self, shown: Ui) -> None:
        stage = shown.sweep.rows[1].stages["cross"]
        shown.sweep.journal(stage, [metrics(6, 2000, loss=0.1)])
        wait_until(lambda: len(one(shown.base, MVCGC).points["cross/loss"]) == 6)

    def test_has_no_assistant_to_run_commands_for_others(self, shown: Ui) -> None:
        address = f"{shown.base}/ajax-api/3.0/mlflow/assistant/config"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(address, timeout=PATIENCE_S)
        assert caught.value.code == 403
        caught.value.close()

    def test_has_one_worker_and_no_job_runner(self, shown: Ui) -> None:
        wait_until(lambda: len(processes_naming(str(shown.sweep.root))) == 3)  # ours, the server, its worker


class TestOutage:
    def tracking(self, port: int) -> TrackingConfig:
        """A server that has two seconds to answer."""
        return TrackingConfig(uri=f"http://127.0.0.1:{port}", experiment="outage", timeout_s=2.0)

    def test_a_server_that_is_down_costs_little_time(self, tmp_path: Path) -> None:
        sweep = FakeSweep(tmp_path)
        sweep.row("Init.", 0)
        sweep.write()
        begin = time.monotonic()
        with pytest.raises(CollectError, match="cannot open") as caught:
            collect(tmp_path, self.tracking(free_port()))
        assert time.monotonic() - begin < 20.0
        assert "\n" not in str(caught.value)

    def test_nothing_is_lost_or_doubled_by_a_server_that_hangs(self, tmp_path: Path, shown: Ui) -> None:
        sweep = FakeSweep(tmp_path)
        stage = sweep.row("Init.", 0).stages["cross"]
        sweep.train(stage, range(1, 4))
        sweep.write()
        tracking = self.tracking(shown.port)
        collector = Collector(tmp_path, tracking)
        collector.once()
        sweep.journal(stage, [metrics(step, 2000 + step, loss=1.0) for step in range(4, 900)])
        servers = [pid for pid in processes_naming(str(shown.sweep.root)) if pid != shown.process.pid]
        for pid in servers:
            os.kill(pid, signal.SIGSTOP)
        try:
            begin = time.monotonic()
            with pytest.raises(CollectError, match=r"cannot send \d+ points: .*(?i:timed out|timeout)"):
                collector.once()
            assert time.monotonic() - begin < 30.0
        finally:
            for pid in servers:
                os.kill(pid, signal.SIGCONT)
        wait_until(lambda: reaches(collector))
        points = one(tracking.uri, "Init., seed 0", "outage").points["cross/loss"]
        assert [step for step, _, _ in points] == list(range(1, 900))


def reaches(collector: Collector) -> bool:
    """Whether a pass comes to its end."""
    try:
        collector.once()
    except CollectError:
        return False
    return True


def test_ctrl_c_ends_it_without_a_trace(shown: Ui) -> None:
    shown.process.send_signal(signal.SIGINT)
    assert shown.process.wait(timeout=PATIENCE_S) == 0
    assert "Traceback" not in shown.output.read_text()
    assert processes_naming(str(shown.sweep.root)) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", shown.port)) != 0
