"""A dataset layout of a user's own, outside the package."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_factories import write_video

from mvcgc.data.index.layouts.base import Layout
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.index.prepare import prepare
from mvcgc.errors import UserError
from mvcgc.parts import load

SOURCE = '''
from dataclasses import dataclass
from mvcgc.data.index.layouts.base import DatasetConfig, Layout
from mvcgc.data.index.layouts.listing import Entry, Listing, finish, videos_below

class Halves(Layout):
    """The first half of the files is for training."""
    version = 1

    @dataclass
    class Config(DatasetConfig):
        test: int = 1

    def listing(self):
        paths = [path.relative_to(self.root).as_posix() for path in videos_below(self.root)]
        cut = len(paths) - self.config.test
        entries = [Entry(p, 0, p, "train" if i < cut else "test") for i, p in enumerate(paths)]
        RESULT
'''
RIGHT = 'return finish(["all"], entries, [], carved=False)'


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for number in range(3):
        write_video(tmp_path / f"videos/{number}.avi", frames=8, seed=number)
    return tmp_path / "videos"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "mylayouts.py"
    sys.modules.pop("mylayouts", None)


def scanned(module: Path, videos: Path, result: str = RIGHT, **settings: object) -> Manifest:
    """Import the layout as a fresh process would, and scan with it."""
    module.write_text(SOURCE.replace("RESULT", result))
    sys.modules.pop("mylayouts", None)
    importlib.invalidate_caches()
    sys.dont_write_bytecode = True
    part = load("mylayouts.Halves", Layout, "dataset")
    config = part.Config(root=str(videos), **settings)
    return prepare(config, videos.parent / "store", 8, True, workers=1)


def test_it_lists_what_it_says_under_its_own_name(module: Path, videos: Path) -> None:
    manifest = scanned(module, videos, test=2)
    assert manifest.name == "halves"
    assert [video.part for video in manifest.videos] == ["train", "test", "test"]


def test_an_edit_shows_at_once_where_it_lists_something_else(module: Path, videos: Path) -> None:
    before = scanned(module, videos)
    same = scanned(module, videos, f"# a comment\n        {RIGHT}")
    assert same.digest == before.digest
    regrouped = 'return finish(["all"], [Entry(e.path, 0, "one", e.part) for e in entries], [], carved=False)'
    assert scanned(module, videos, regrouped).digest != before.digest
    assert scanned(module, videos).digest == before.digest


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("return 1 / 0", r"raised ZeroDivisionError: division by zero \(.*mylayouts\.py:18\)"),
        ("return entries", r"listing\(\) returned a list, no Listing"),
        ("return Listing([], entries, [], False)", r"0\.avi with label 0; use 0 to -1"),
        (
            'return Listing(["a"], entries[::-1], [], False)',
            r"has 1\.avi after 2\.avi: make it with",
        ),
        ('return Listing(["a"], entries + entries[-1:], [], False)', r"has 2\.avi after 2\.avi"),
        ('return Listing(["a"], [Entry("x", 0, "x", "dev")], [], False)', r"x in part 'dev'; use train, val"),
        ('return Listing(["a"], [Entry("/x", 0, "x", "val")], [], False)', r"absolute path /x; give it rel"),
    ],
)
def test_mistakes_of_it_are_one_line(module: Path, videos: Path, result: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"^dataset\._target_=mylayouts\.Halves.*{message}") as raised:
        scanned(module, videos, result)
    assert "\n" not in str(raised.value)
