"""Commands of ``mvcgc data``: index, report, transcode and make datasets."""

from pathlib import Path

from mvcgc.config import Config
from mvcgc.data.demo import Demo
from mvcgc.data.index.manifest import SUFFIX, load, report
from mvcgc.data.index.prepare import prepare
from mvcgc.data.transcode import TranscodeConfig, transcode
from mvcgc.data.transcode import report as transcoded
from mvcgc.errors import UserError
from mvcgc.launch.local.machine import Capacity
from mvcgc.plan import Row, dataset_needs, manifests_folder


def scan(config: Config) -> None:
    """Index the datasets that the configuration reads, as a run would, and print what was refused and why."""
    row = Row("scan", config.experiment, config.resources)
    for need in dataset_needs([row]):
        store = manifests_folder(Path(config.root))
        manifest = prepare(need.config, store, need.min_frames, need.needs_vectors, Capacity.here().cores)
        print(report(manifest), end="")


def make_demo_videos(config: Config) -> None:
    """Make the demo's videos. Raises UserError if the configuration is about another dataset."""
    if not isinstance(config.dataset, Demo.Config):
        raise UserError(
            f"dataset={config.dataset.part.label}: only the demo's videos can be made, dataset=demo"
        )
    Demo(config.dataset).make(Capacity.here().cores)
    print(f"the demo's videos are in {config.dataset.root}")


def report_all(root: Path) -> None:
    """Print the report of every published manifest. Raises UserError if there is none."""
    store = manifests_folder(root)
    paths = sorted(store.glob(f"*{SUFFIX}"), key=lambda path: (path.stat().st_mtime, path.name))
    if not paths:
        raise UserError(f"{store} has no manifest yet: run mvcgc data scan, or say --root where they are")
    for path in paths:
        print(report(load(path)), end="")


def transcode_folder(source: Path, target: Path, config: TranscodeConfig, workers: int) -> int:
    """Transcode a folder of videos and print the report; return 1 if any video was skipped."""
    found = transcode(source, target, config, workers or Capacity.here().cores)
    print(transcoded(found, target), end="")
    return int(any(each.refused for each in found))
