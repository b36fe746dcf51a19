"""Verbs of the ``mvcgc`` program: name, help, arguments, and the function that carries them out."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvcgc.commands.completers import Completer, overrides, run_words
from mvcgc.commands.root import DEFAULT_ROOT, ROOT_VARIABLE

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

NO_PREFIX = "\0"
"""No word of a command line begins with it: the parser takes all words as they are, options included."""


def _no_arguments(_: argparse.ArgumentParser) -> None:
    """Leave the parser as it is."""


@dataclass(frozen=True)
class Verb:
    """A verb, or with ``verbs`` a group of verbs.

    Attributes:
        name: the word that users type.
        help: one line for ``--help``.
        run: carries it out; returns the exit code, None for 0.
        add: adds the arguments to its parser.
        verbs: the verbs of a group.
        raw: all words after the verb are one list, ``parsed.words``: another program parses them.
        heavy: importing its arguments takes seconds, so they are added only if the verb was typed.
    """

    name: str
    help: str
    run: Callable[[argparse.Namespace], int | None] | None = None
    add: Callable[[argparse.ArgumentParser], None] = _no_arguments
    verbs: tuple["Verb", ...] = ()
    raw: bool = False
    heavy: bool = False


def add_verbs(parser: argparse.ArgumentParser, verbs: Sequence[Verb], typed: Sequence[str]) -> None:
    """Give ``parser`` its verbs, each with its own parser; ``typed`` are the words of the command line."""
    added = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for verb in verbs:
        own = _raw_parser(added, verb) if verb.raw else _parser(added, verb)
        if not verb.heavy or verb.name in typed:
            verb.add(own)
        if verb.verbs:
            add_verbs(own, verb.verbs, typed)
        if verb.run is not None:
            own.set_defaults(command=verb.run)


def _parser(added: "Verbs", verb: Verb) -> argparse.ArgumentParser:
    parser = added.add_parser(verb.name, help=verb.help, description=verb.help)
    take_root(parser)
    return parser


def _raw_parser(added: "Verbs", verb: Verb) -> argparse.ArgumentParser:
    parser = added.add_parser(verb.name, help=verb.help, add_help=False, prefix_chars=NO_PREFIX)
    complete_by(parser.add_argument("words", nargs="*"), run_words)
    return parser


def complete_by(argument: argparse.Action, completer: Completer) -> None:
    """Let argcomplete, which looks for this attribute, complete an argument."""
    argument.completer = completer  # type: ignore[attr-defined]


def take_root(parser: argparse.ArgumentParser) -> None:
    """Let a parser take ``--root``; before the verb or after it, the last one counts."""
    text = f"folder of all runs (default: ${ROOT_VARIABLE}, else {DEFAULT_ROOT})"
    parser.add_argument("--root", metavar="DIR", default=argparse.SUPPRESS, help=text)


def take_overrides(parser: argparse.ArgumentParser) -> None:
    """Let a parser take overrides of the configuration, as ``mvcgc run`` does."""
    text = "overrides of the configuration, as for mvcgc run"
    complete_by(parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=text), overrides)
