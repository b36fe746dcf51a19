"""What ``import mvcgc`` offers: names, speed, documented examples, and the scripts of the README."""

import contextlib
import doctest
import io
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mvcgc

NAMES = ["compose", "load_encoder", "open_video", "results"]
README = Path(__file__).resolve().parents[2] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
SCRIPT = next(block for block in BLOCKS if "mvcgc.results" in block)


def test_names() -> None:
    assert dir(mvcgc) == ["__version__", *NAMES]
    assert sorted(mvcgc.__all__) == ["__version__", *NAMES]
    with pytest.raises(AttributeError, match="module 'mvcgc' has no attribute 'result'"):
        mvcgc.result  # type: ignore[attr-defined]  # noqa: B018


def test_help_shows_each_function() -> None:
    text = pydoc.plain(pydoc.render_doc(mvcgc))
    for name in NAMES:
        assert re.search(rf"^    {name}\(.*\) -> ", text, re.MULTILINE), name


def test_importing_it_imports_nothing_else() -> None:
    program = (
        "import sys; before = {*sys.modules}; import mvcgc; dir(mvcgc); print(*({*sys.modules} - before))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pandas", "hydra", "av", "mlflow", "cattrs"} & {*found.stdout.split()}


def test_results_need_no_torch(folder: Path) -> None:
    program = "import sys, mvcgc; mvcgc.results('runs'); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "av", "mlflow", "hydra"} & {*found.stdout.split()}


@pytest.mark.parametrize("name", [*NAMES, "VideoFile"])
def test_examples(folder: Path, name: str) -> None:
    found = sys.modules["mvcgc.api.video"].VideoFile if name == "VideoFile" else getattr(mvcgc, name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said = io.StringIO()
    names = {"mvcgc": mvcgc, "torch": torch}
    for example in doctest.DocTestFinder().find(found, name, globs=names):
        runner.run(example, out=said.write)
    assert runner.summarize(verbose=False).failed == 0, said.getvalue()
    assert runner.tries > 0


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[-1])
def test_scripts_of_the_readme(folder: Path, block: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(block, str(README), "exec"), {})


def test_the_script_from_runs_to_a_table_and_from_a_file_to_features(folder: Path) -> None:
    assert len(SCRIPT.strip().splitlines()) <= 15
    said, names = io.StringIO(), {}
    with contextlib.redirect_stdout(said):
        exec(compile(SCRIPT, str(README), "exec"), names)
    assert [line.split() for line in said.getvalue().splitlines()[2:]] == [
        ["Init.", "30.0", "31.0"],
        ["MVCGC", "(k=5)", "40.0", "NaN"],
    ]
    assert names["features"].shape == (1, names["encoder"].dim)
    assert names["clip"].shape == (1, 2, 8, 32, 32)
    assert (names["rgb"].shape, names["motion"].shape) == ((8, 48, 64, 3), (8, 6, 8, 2))
