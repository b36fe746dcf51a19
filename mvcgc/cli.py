"""``mvcgc``: look at, follow, stop and gather what ``python -m mvcgc.run`` has started."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mvcgc import commands, run
from mvcgc.bench import commands as bench_commands
from mvcgc.collect import collect, ui, watch
from mvcgc.commands import data, weights
from mvcgc.config import Config, compose
from mvcgc.exit_codes import exit_code_of
from mvcgc.parts import title
from mvcgc.sweep import write_and_print

ROOT_VARIABLE = "MVCGC_ROOT"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0, 1 if it failed, 2 for a mistake, told in one line."""
    parsed = _parser().parse_args(arguments)
    if parsed.root is not None:
        os.environ[ROOT_VARIABLE] = parsed.root  # where the configuration takes it from
    return exit_code_of(lambda: parsed.command(parsed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mvcgc", description=__doc__)
    parser.add_argument("--root", help=f"folder of all runs (default: ${ROOT_VARIABLE}, else {Config.root})")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)

    plan = _add(verbs, "plan", _plan, "what a run would do, why, and what it costs; runs nothing")
    plan.add_argument("-m", "--multirun", action="store_true", help="as with python -m mvcgc.run")
    plan.add_argument(
        "--why", metavar="STAGE", help="in which fields STAGE differs from the nearest finished one"
    )
    _take_overrides(plan)

    status = _add(verbs, "status", _status, "how far each stage of a sweep is")
    status.add_argument("sweep", nargs="?", metavar="SWEEP", help="name or id (default: the newest)")
    status.add_argument("--watch", action="store_true", help="go on until nothing of it runs, or Ctrl-C")

    logs = _add(verbs, "logs", _logs, "what a stage has printed, on all its ranks")
    logs.add_argument("stage", metavar="STAGE", help="its name, id (as in the plan) or fingerprint")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the stage has ended")

    cancel = _add(
        verbs,
        "cancel",
        _cancel,
        "stop a sweep or a stage, but nothing that another sweep needs; checkpoints are saved",
    )
    cancel.add_argument("target", metavar="SWEEP|STAGE", nargs="?", help="default: the newest sweep")

    gather = _add(verbs, "collect", _collect, "bring journals and tables to MLflow")
    gather.add_argument("--rebuild", action="store_true", help="make MLflow's runs anew")
    gather.add_argument("--watch", action="store_true", help="go on until Ctrl-C")
    _take_overrides(gather)

    tables = _add(verbs, "tables", _tables, "write and print tables, as far as their stages are finished")
    tables.add_argument("sweep", nargs="?", metavar="SWEEP", help="name or id (default: the newest of each)")

    show = _add(verbs, "ui", _ui, "open MLflow on the runs and keep it up to date")
    show.add_argument("--port", type=int, default=5000)
    show.add_argument("--socket", type=Path, help="listen on this Unix socket instead of a port")
    _take_overrides(show)

    export = _add(verbs, "export", _export, "the encoder of a finished init or cross stage as a file")
    export.add_argument("stage", metavar="STAGE", help="its name, id (as in the plan) or fingerprint")
    export.add_argument("file", metavar="FILE.safetensors", type=Path)
    export.add_argument("--view", help="rgb, mv, ...; needed where the stage has two")

    bring = verbs.add_parser("import", help="an encoder of others as such a file")
    origins = bring.add_subparsers(metavar="ORIGIN", required=True)
    coclr = _add(origins, "coclr", _import_coclr, "the RGB network (S3D) of a checkpoint of CoCLR")
    coclr.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    coclr.add_argument("file", metavar="FILE.safetensors", type=Path)

    datasets = verbs.add_parser("data", help="index datasets, make the demo's videos")
    steps = datasets.add_subparsers(metavar="STEP", required=True)
    _take_overrides(
        _add(steps, "scan", _data_scan, "index the datasets of a configuration and report refused files")
    )
    _take_overrides(_add(steps, "make-demo", _data_make_demo, "make the demo's videos"))
    _add(steps, "report", _data_report, "the reports of all scanned datasets again")

    bench = verbs.add_parser("bench", help="measure ourselves")
    subjects = bench.add_subparsers(metavar="SUBJECT", required=True)
    bench_commands.add_to(subjects)
    return parser


def _add(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    function: Callable[[argparse.Namespace], int | None],
    text: str,
) -> argparse.ArgumentParser:
    added = verbs.add_parser(name, help=text, description=text)
    added.set_defaults(command=function)
    return added


def _take_overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as with python -m mvcgc.run")


def _plan(parsed: argparse.Namespace) -> int:
    why = [f"hydra.launcher.why={parsed.why}"] if parsed.why else []
    multirun = ["-m"] if parsed.multirun else []
    sys.argv = ["mvcgc plan", *multirun, *parsed.overrides, "hydra/launcher=plan", *why]
    return run.main()


def _status(parsed: argparse.Namespace) -> None:
    root = _root()
    record = commands.find_sweep(root, parsed.sweep)
    if parsed.watch:
        commands.watch(root, record)
    else:
        sys.stdout.write(commands.status(root, record))


def _logs(parsed: argparse.Namespace) -> None:
    commands.print_logs(commands.find_stage(_root(), parsed.stage), parsed.follow)


def _cancel(parsed: argparse.Namespace) -> None:
    print("\n".join(commands.cancel(_root(), parsed.target)))


def _collect(parsed: argparse.Namespace) -> None:
    config = compose(parsed.overrides)
    root, results = Path(config.root), Path(config.results)
    if parsed.watch:
        watch(root, config.tracking, results=results)
    else:
        done = collect(root, config.tracking, results=results, rebuild=parsed.rebuild)
        print(f"{done.created} runs made, {done.points} figures sent")
        for warning in done.warnings:
            print(f"warning: {warning}", file=sys.stderr)


def _tables(parsed: argparse.Namespace) -> None:
    root = _root()
    records = [commands.find_sweep(root, parsed.sweep)] if parsed.sweep else commands.newest_of_each(root)
    write_and_print(records, root, Path(compose([]).results))


def _ui(parsed: argparse.Namespace) -> int:
    config = compose(parsed.overrides)
    results = Path(config.results)
    return ui(Path(config.root), config.tracking, port=parsed.port, socket=parsed.socket, results=results)


def _export(parsed: argparse.Namespace) -> None:
    card = weights.export_encoder(commands.find_stage(_root(), parsed.stage), parsed.file, parsed.view)
    print(f"{parsed.file}: {card.view} of {card.stage}, {title(card.backbone)}")


def _import_coclr(parsed: argparse.Namespace) -> None:
    card = weights.import_coclr(parsed.checkpoint, parsed.file)
    print(f"{parsed.file}: {card.view}, {title(card.backbone)}, of {card.source}")


def _data_scan(parsed: argparse.Namespace) -> None:
    data.scan(compose(parsed.overrides))


def _data_make_demo(parsed: argparse.Namespace) -> None:
    data.make_demo_videos(compose(parsed.overrides))


def _data_report(_: argparse.Namespace) -> None:
    data.report_all(_root())


def _root() -> Path:
    """Where the configuration says too; to look at folders it need not be composed."""
    return Path(os.environ.get(ROOT_VARIABLE, Config.root))


if __name__ == "__main__":
    sys.exit(main())
