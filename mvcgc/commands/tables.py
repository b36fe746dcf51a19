"""``mvcgc tables``: tables and plots of sweeps, from what their finished stages have left."""

import argparse
from pathlib import Path

from mvcgc.commands.completers import sweep_names
from mvcgc.commands.lookup import find_sweep, newest_of_each
from mvcgc.commands.root import root
from mvcgc.commands.verb import Verb, complete_by


def _add(parser: argparse.ArgumentParser) -> None:
    text = "name or id (default: the newest of each name and scale)"
    complete_by(parser.add_argument("sweep", nargs="?", metavar="SWEEP", help=text), sweep_names)


def _run(parsed: argparse.Namespace) -> None:
    records = [find_sweep(root(), parsed.sweep)] if parsed.sweep else newest_of_each(root())
    from mvcgc.config import compose
    from mvcgc.sweep import write_and_print

    write_and_print(records, root(), Path(compose([]).results))


VERB = Verb("tables", "write and print the tables of finished stages", _run, _add)
