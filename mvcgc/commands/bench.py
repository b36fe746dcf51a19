"""``mvcgc bench``: its subjects are those of `mvcgc.bench`, imported only if it is the verb."""

import argparse

from mvcgc.commands.verb import Verb, take_root


def _add(parser: argparse.ArgumentParser) -> None:
    from mvcgc.bench import commands

    subjects = parser.add_subparsers(metavar="SUBJECT", required=True)
    commands.add_to(subjects)
    for subject in subjects.choices.values():
        take_root(subject)


VERB = Verb("bench", "measure speed, and compare it with baselines", add=_add, heavy=True)
