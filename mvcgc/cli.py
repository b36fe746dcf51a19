"""The ``mvcgc`` program: reads the command line and calls the verb; its verbs are in `mvcgc.commands`."""

import argparse
import os
import sys
from collections.abc import Sequence

import mvcgc
from mvcgc.commands.registry import VERBS
from mvcgc.commands.root import ROOT_VARIABLE
from mvcgc.commands.verb import add_verbs, take_root
from mvcgc.exit_codes import exit_code_of

DESCRIPTION = "Run sweeps, follow and stop them, and use their results."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0, 1 if it failed, 2 for a mistake, reported in one line.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser([*arguments, *os.environ.get("COMP_LINE", "").split()])
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    parsed = _parse(parser, arguments)
    if "root" in parsed:
        os.environ[ROOT_VARIABLE] = parsed.root  # the configuration reads it there
    return exit_code_of(lambda: parsed.command(parsed))


def _parser(typed: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mvcgc", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"mvcgc {mvcgc.__version__}")
    take_root(parser)
    add_verbs(parser, VERBS, typed)
    return parser


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; overrides may stand before, between and after options."""
    parsed, rest = parser.parse_known_args(arguments)
    if not rest:
        return parsed
    if "overrides" not in parsed or any(word.startswith("-") for word in rest):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    parsed.overrides += rest
    return parsed


if __name__ == "__main__":
    sys.exit(main())
