"""``mvcgc data``: index datasets, report what is in them, make the demo's videos."""

import argparse

from mvcgc.commands.root import root
from mvcgc.commands.verb import Verb, take_overrides


def _scan(parsed: argparse.Namespace) -> None:
    from mvcgc.commands import data
    from mvcgc.config import compose

    data.scan(compose(parsed.overrides))


def _make_demo(parsed: argparse.Namespace) -> None:
    from mvcgc.commands import data
    from mvcgc.config import compose

    data.make_demo_videos(compose(parsed.overrides))


def _report(_: argparse.Namespace) -> None:
    from mvcgc.commands import data

    data.report_all(root())


VERB = Verb(
    "data",
    "index datasets, make the demo's videos",
    verbs=(
        Verb("scan", "index the datasets of a configuration and list refused files", _scan, take_overrides),
        Verb("report", "print the reports of all scanned datasets again", _report),
        Verb("make-demo", "make the demo's videos", _make_demo, take_overrides),
    ),
)
