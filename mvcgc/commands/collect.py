"""``mvcgc collect`` and ``mvcgc ui``: bring runs to MLflow and look at them there."""

import argparse
import sys
from pathlib import Path

from mvcgc.commands.verb import Verb, take_overrides


def _add_collect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rebuild", action="store_true", help="delete and recreate MLflow runs")
    parser.add_argument("--watch", action="store_true", help="keep running until Ctrl-C")
    take_overrides(parser)


def _collect(parsed: argparse.Namespace) -> None:
    from mvcgc.collect import collect, watch
    from mvcgc.config import compose

    config = compose(parsed.overrides)
    root, results = Path(config.root), Path(config.results)
    if parsed.watch:
        watch(root, config.tracking, results=results)
        return
    done = collect(root, config.tracking, results=results, rebuild=parsed.rebuild)
    print(f"{done.created} runs created, {done.points} metric values sent")
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _add_ui(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--socket", type=Path, metavar="FILE", help="listen on this Unix socket, not a port")
    take_overrides(parser)


def _ui(parsed: argparse.Namespace) -> int:
    from mvcgc.collect import ui
    from mvcgc.config import compose

    config = compose(parsed.overrides)
    results = Path(config.results)
    return ui(Path(config.root), config.tracking, port=parsed.port, socket=parsed.socket, results=results)


VERB = Verb("collect", "send journals and tables to MLflow", _collect, _add_collect)
UI = Verb("ui", "open MLflow on the runs and keep it up to date", _ui, _add_ui)
