"""Completion in a real bash, and the names of overrides behind it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_sweep import FakeSweep

from mvcgc.commands import override_names
from mvcgc.commands.override_names import completions, keys

BASH = shutil.which("bash")

# Defines `mvcgc` as the program of this source tree, loads its completion, and asks it as readline does.
SCRIPT = """
mvcgc() {{ {python} -m mvcgc.cli "$@"; }}
export -f mvcgc
eval "$(mvcgc completion bash)"
COMP_LINE={line}
COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=({line_words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
COMP_TYPE=9
{function} mvcgc "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def surroundings(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("MVCGC_CONFIG_DIR", raising=False)
    monkeypatch.setenv("MVCGC_ROOT", str(tmp_path / "runs"))


@pytest.fixture
def sweep(tmp_path: Path) -> FakeSweep:
    fake = FakeSweep(tmp_path / "runs")
    fake.row("MVCGC (k=5)", 0)
    fake.write()
    return fake


def completed(line: str) -> list[str]:
    """What bash offers after ``line``, split into words as readline does (``=`` is a word of its own)."""
    if BASH is None:
        pytest.skip("no bash")
    words = line.replace("=", " = ").split() + ([""] if line[-1] in " =" else [])
    script = SCRIPT.format(
        python=sys.executable,
        line=json.dumps(line),
        line_words=" ".join(json.dumps(word) for word in words),
        function="_python_argcomplete",
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ended = subprocess.run([BASH, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return [word.strip() for word in ended.stdout.splitlines() if word]


def test_verbs_and_options() -> None:
    assert completed("mvcgc sta") == ["status"]
    assert {"run", "plan", "logs", "completion"} <= set(completed("mvcgc "))
    assert completed("mvcgc status --wa") == ["--watch"]
    assert "scan" in completed("mvcgc data ")


def test_names_of_sweeps_and_stages(sweep: FakeSweep) -> None:
    assert completed("mvcgc status ablation_l")[0] == "ablation_loss"
    assert completed("mvcgc logs init/m")[0] == "init/mv"
    assert completed("mvcgc --root nowhere logs init/") == []
    assert {"ablation_loss", "cross"} <= set(completed("mvcgc cancel "))


def test_overrides_in_bash() -> None:
    assert completed("mvcgc run method.k") == ["method.k="]
    assert "mvcgc_union" in completed("mvcgc run -m method=mvc")
    assert "ablation_loss" in completed("mvcgc plan sweeps=abl")
    assert completed("mvcgc run --cfg j") == ["job"]
    assert completed("mvcgc run --multi") == ["--multirun"]


def test_values_after_a_comma() -> None:
    assert "method=cmc,mvcgc" in completions("method=cmc,mv")
    assert completions("cross.sync_bn=") == ["cross.sync_bn=true", "cross.sync_bn=false"]
    assert "cross.schedule=cosine" in completions("cross.schedule=")
    assert completions("cross.lr=") == []


def test_an_empty_word_offers_groups_alone() -> None:
    offered = completions("")
    assert {"method=", "sweeps=", "dataset=", "hydra/launcher="} <= set(offered)
    assert not any("." in name for name in offered)


def test_every_key_of_the_configuration_is_there() -> None:
    names = keys()
    for key in (
        "seed",
        "cross.lr",
        "method.k",
        "method.tau",
        "hydra.launcher.budget_gpu_hours",
        "clip.frames",
    ):
        assert key in names, key
    assert "cross" not in names  # it is a group of keys and takes no value


def test_own_groups_and_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, option in (("conf", "hard"), ("elsewhere", "harder"), ("given", "hardest")):
        (tmp_path / folder / "method").mkdir(parents=True)
        (tmp_path / folder / "method" / f"{option}.yaml").write_text(
            f"_target_: mylab.{option}\n{option}_beta: 0.5\n"
        )
    monkeypatch.setenv("MVCGC_CONFIG_DIR", "elsewhere")
    assert {"method=hard", "method=harder"} <= set(completions("method="))
    assert "method=hardest" not in completions("method=")
    assert "method=hardest" in completions("method=", "given")
    assert completions("method.harder") == ["method.harder_beta="]


def test_broken_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "odd.yaml").write_text("a: [")
    assert "method=odd" in completions("method=od")


def test_keys_come_from_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = keys()

    def fail() -> None:
        raise AssertionError("the configuration was imported again")

    monkeypatch.setattr(override_names, "_keys_of_configuration", fail)
    assert keys() == wanted
    monkeypatch.setattr(override_names, "_keys_of_configuration", lambda: {"other": []})
    (file,) = (cache / "mvcgc").glob("keys-*.json")
    file.rename(file.with_name("keys-of_an_earlier_version.json"))
    assert keys() == {"other": []}
    assert len(list((cache / "mvcgc").iterdir())) == 1
    next((cache / "mvcgc").iterdir()).unlink()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_code_for_each_shell(shell: str) -> None:
    command = [sys.executable, "-m", "mvcgc.cli", "completion", shell]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "_ARGCOMPLETE" in ended.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=ended.stdout, text=True, check=True)
