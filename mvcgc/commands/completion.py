"""``mvcgc completion``: the shell code that completes verbs, options, names and overrides."""

import argparse

from mvcgc.commands.verb import Verb

SHELLS = ("bash", "zsh", "fish")


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="your shell")
    parser.epilog = (
        'Put eval "$(mvcgc completion bash)" into ~/.bashrc (zsh: ~/.zshrc); fish: pipe it to source.'
    )


def _run(parsed: argparse.Namespace) -> None:
    from argcomplete.shell_integration import shellcode

    print(shellcode(["mvcgc"], shell=parsed.shell))


VERB = Verb("completion", "print the code that completes mvcgc in your shell", _run, _add)
