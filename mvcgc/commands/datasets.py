"""``mvcgc data``: index datasets, report what is in them, transcode them, make the demo's videos."""

import argparse
from pathlib import Path

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


def _add_transcode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="folder of a dataset")
    parser.add_argument("target", metavar="TARGET", help="folder to write the copy to")
    parser.add_argument("--side", type=int, default=144, help="short side in pixels (default: %(default)s)")
    parser.add_argument("--gop", type=int, default=12, help="frames per keyframe (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="worker processes (default: one per core)")


def _transcode(parsed: argparse.Namespace) -> int:
    from mvcgc.commands import data
    from mvcgc.data.transcode import TranscodeConfig

    config = TranscodeConfig(parsed.side, parsed.gop)
    return data.transcode_folder(Path(parsed.source), Path(parsed.target), config, parsed.workers)


VERB = Verb(
    "data",
    "index datasets, make the demo's videos",
    verbs=(
        Verb("scan", "index the datasets of a configuration and list refused files", _scan, take_overrides),
        Verb("report", "print the reports of all scanned datasets again", _report),
        Verb("transcode", "copy a dataset in a form that is cheap to decode", _transcode, _add_transcode),
        Verb("make-demo", "make the demo's videos", _make_demo, take_overrides),
    ),
)
