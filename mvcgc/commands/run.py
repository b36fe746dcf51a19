"""``mvcgc run`` and ``mvcgc plan``: Hydra reads their overrides, as in ``python -m mvcgc.run``."""

import argparse
import os
import sys

from mvcgc.commands.completers import stage_names
from mvcgc.commands.root import ROOT_VARIABLE
from mvcgc.commands.verb import Verb, complete_by, take_overrides


def _run(parsed: argparse.Namespace) -> int:
    from mvcgc import run

    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--root")
    found, words = own.parse_known_args(parsed.words)
    if found.root is not None:
        os.environ[ROOT_VARIABLE] = found.root
    sys.argv = ["mvcgc run", *words]
    return run.main()


def _take_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--multirun", action="store_true", help="plan a sweep, as with mvcgc run -m")
    parser.add_argument("--config-dir", metavar="DIR", help="folder of your own configuration groups")
    text = "show which fields of STAGE differ from the nearest finished stage"
    complete_by(parser.add_argument("--why", metavar="STAGE", help=text), stage_names)
    take_overrides(parser)


def _plan(parsed: argparse.Namespace) -> int:
    from mvcgc import run

    flags = ["-m"] if parsed.multirun else []
    flags += ["--config-dir", parsed.config_dir] if parsed.config_dir else []
    why = [f"hydra.launcher.why={parsed.why}"] if parsed.why else []
    sys.argv = ["mvcgc plan", *flags, *parsed.overrides, "hydra/launcher=plan", *why]
    return run.main()


RUN = Verb("run", "run one row, or with -m a sweep; same as python -m mvcgc.run", _run, raw=True)
PLAN = Verb("plan", "show what a run would do, why, and its cost; runs nothing", _plan, _take_plan)
