"""``mvcgc ui``: MLflow's web interface on the store of a root, kept up to date while it is open."""

import os
import signal
import socket as sockets
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

from mvcgc.collect.config import TrackingConfig
from mvcgc.collect.environment import prepare_environment
from mvcgc.collect.follow import collector, follow, stopping
from mvcgc.errors import UserError

HOST = "127.0.0.1"
COLLECT_EVERY_S = 5.0
START_LIMIT_S = 120.0
STOP_LIMIT_S = 10.0


def ui(
    root: Path,
    tracking: TrackingConfig,
    *,
    port: int = 5000,
    socket: Path | None = None,
    results: Path | None = None,
) -> int:
    """Serve MLflow on this machine until Ctrl-C or SIGTERM, collecting all the while; returns an exit status.

    The server has one worker and no job execution: two processes. It listens on ``port`` of the loopback
    interface, which every user of the machine can reach and MLflow asks for no password; with ``socket``, on
    that Unix socket instead, whose folder only its owner may enter. Raises UserError if the store is behind a
    server already, if the port is taken, or if the socket's folder is open to others; CollectError if the
    store cannot be opened.
    """
    if tracking.is_server:
        raise UserError(f"tracking.uri={tracking.uri}: a server shows its runs itself, open that address")
    if socket is None:
        _check_port(port)
    else:
        check_folder(socket)
    source = collector(root, tracking, results)
    experiment = source.experiment_id
    log = root / "collect" / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with stopping() as stop, log.open("w") as output:
        process = subprocess.Popen(
            server_command(root, tracking, port, socket),
            env=_environment(tracking),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; we end it in order
        )
        try:
            if not _wait_until_open(process, port, socket, stop):
                return _told(process, stop, log)
            _print_address(port, socket, experiment)
            ender = threading.Thread(target=_end_with, args=(process, stop), daemon=True)
            ender.start()
            follow(source, stop, COLLECT_EVERY_S)
        finally:
            ended = _end(process)
            if socket is not None:
                socket.unlink(missing_ok=True)
    if ended is not None:
        print(f"error: mlflow server ended by itself with status {ended}, see {log}", file=sys.stderr)
    return 0 if ended is None else 1


def server_command(root: Path, tracking: TrackingConfig, port: int, socket: Path | None) -> list[str]:
    """The command of the server, on a port of the loopback interface or on a Unix socket."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", tracking.store_uri(root)]
    command += ["--artifacts-destination", (root / "mlartifacts").resolve().as_uri()]
    command += ["--app-name", "mvcgc", "--workers", "1", "--host", HOST, "--port", str(port)]
    options = "--log-level warning"
    if socket is not None:
        options += f" --uds {socket.resolve()}"
    return [*command, "--uvicorn-opts", options]


def comparison_page(base: str, experiment: str) -> str:
    """The address of the page that compares the charts of all rows, stages and tables left out."""
    rows_only = quote("tags.kind = 'row'")
    query = f"workflowType=machine_learning&compareRunsMode=CHART&searchFilter={rows_only}"
    return f"{base}/#/experiments/{experiment}/runs?{query}"


def _environment(tracking: TrackingConfig) -> dict[str, str]:
    prepare_environment(tracking.timeout_s)
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def _check_port(port: int) -> None:
    with sockets.socket() as probe:
        probe.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port {port}: {error.strerror or error}; choose another one") from error


def check_folder(socket: Path) -> None:
    """Make the folder of a Unix socket. Raises UserError if others may enter it, or the socket is in use."""
    folder = socket.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        raise UserError(f"--socket {socket}: others may enter {folder}; make it yours with chmod 700")
    if not socket.exists():
        return
    with sockets.socket(sockets.AF_UNIX) as probe:
        if not socket.is_socket() or probe.connect_ex(str(socket)) == 0:
            raise UserError(f"--socket {socket}: is there already and in use; choose another name")
    socket.unlink()  # a server that was killed has left it


def _wait_until_open(
    process: "subprocess.Popen[bytes]", port: int, socket: Path | None, stop: threading.Event
) -> bool:
    deadline = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < deadline and not stop.is_set():
        family, address = (
            (sockets.AF_INET, (HOST, port)) if socket is None else (sockets.AF_UNIX, str(socket))
        )
        with sockets.socket(family) as probe:
            if probe.connect_ex(address) == 0:
                return True
        stop.wait(0.1)
    return False


def _told(process: "subprocess.Popen[bytes]", stop: threading.Event, log: Path) -> int:
    if stop.is_set():
        return 0
    status = process.poll()
    why = f"ended with status {status}" if status is not None else f"did not start in {START_LIMIT_S:.0f} s"
    print(f"error: mlflow server {why}, see {log}", file=sys.stderr)
    return 1


def _print_address(port: int, socket: Path | None, experiment: str) -> None:
    if socket is None:
        print(f"MLflow is at {comparison_page(f'http://{HOST}:{port}', experiment)}", flush=True)
        print(
            "Every user of this machine can open it without a password: on a shared machine use --socket.",
            file=sys.stderr,
        )
    else:
        there = comparison_page("http://127.0.0.1:5000", experiment)
        print(f"MLflow listens on {socket}. From your own machine:")
        print(f"  ssh -L 5000:{socket.resolve()} <this machine>   and open {there}", flush=True)
    print("Ctrl-C ends it.", flush=True)


def _end_with(process: "subprocess.Popen[bytes]", stop: threading.Event) -> None:
    """Stop collecting when the server ends by itself."""
    process.wait()
    stop.set()


def _end(process: "subprocess.Popen[bytes]") -> int | None:
    """End the server and its worker; the status it had ended with by itself, None if we ended it."""
    status = process.poll()
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return status
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            continue
    return status
