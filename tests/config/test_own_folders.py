"""The user's own configuration: the folders it is found in, and what it may not be named."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command, assert_mistake
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from own_project import KNN, OwnProject, own_project

from mvcgc import run
from mvcgc.config import compose
from mvcgc.errors import UserError

METHOD = """
from dataclasses import dataclass, field

from mvcgc.method.mvcgc import MVCGC


class Own(MVCGC):
    version = 1

    @dataclass
    class Config(MVCGC.Config):
        beta: float = 1.25
        layers: list[int] = field(default_factory=lambda: [3, 4])
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnProject]:
    """A project with a method, and no configuration yet."""
    with own_project(tmp_path / "project", monkeypatch, METHOD) as made:
        yield made


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``python -m mvcgc.run``."""
    return Command(run.main, "mvcgc.run", monkeypatch, capsys)


OPTION = "_target_: MODULE.Own\nk: 3\n"


def test_conf_of_the_working_directory(project: OwnProject) -> None:
    project.write("method/own.yaml", OPTION)
    method = compose(["method=own"]).method
    assert (type(method), method.k, method.beta) == (project.load("Own").Config, 3, 1.25)


def test_the_folder_of_the_environment(project: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("method/own.yaml", OPTION, conf="elsewhere")
    with pytest.raises(UserError, match=r"^method=own: choose one of "):
        compose(["method=own"])
    monkeypatch.setenv("MVCGC_CONFIG_DIR", "elsewhere")
    assert compose(["method=own"]).method.k == 3
    monkeypatch.setenv("MVCGC_CONFIG_DIR", "nowhere")
    assert compose([]).method.k == 5


def test_modules_beside_the_folder_of_configuration_are_found(
    project: OwnProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project.write("method/own.yaml", OPTION)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(project.folder)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MVCGC_CONFIG_DIR", str(project.folder / "conf"))
    assert compose(["method=own"]).method.beta == 1.25


@pytest.mark.parametrize("flag", ["--config-dir", "-cd"])
def test_the_folder_of_the_command_line(project: OwnProject, command: Command, flag: str) -> None:
    folder = project.write("method/own.yaml", OPTION, conf="other").parents[1]
    ended = command(flag, str(folder), "--cfg", "job", "method=own")
    assert (ended.code, ended.err) == (0, "")
    assert "  k: 3\n" in ended.out
    ended = command(flag, str(folder), "hydra/launcher=plan", "method=own")
    assert (ended.code, ended.err) == (0, ""), ended
    assert "Own [" in ended.out


def test_options_that_build_on_ours(project: OwnProject) -> None:
    project.write("scale/tiny.yaml", "# @package _global_\ndefaults: [demo, _self_]\nclip: {frames: 8}\n")
    config = compose(["scale=tiny", "dataset=demo"])
    assert (config.clip.frames, config.clip.size) == (8, 48)


def test_cfg_shows_every_key_of_a_parts_class(project: OwnProject, command: Command) -> None:
    project.write("method/own.yaml", OPTION)
    project.write("downstream/long.yaml", "tasks: [linear]\nlinear: {patience: 7}\n")
    ended = command("--cfg", "job", "method=own", "method.beta=2", "downstream=long")
    assert (ended.code, ended.err) == (0, "")
    method = ended.out.partition("\nmethod:\n")[2].partition("\ninit:\n")[0]
    assert "  beta: 2.0" in method
    assert "  layers:\n  - 3\n  - 4" in method
    assert "  queue: 64" in method  # of the base, by the scale
    linear = ended.out.partition("\n  linear:\n")[2].partition("\n  finetune:\n")[0]
    assert "    patience: 7\n" in linear
    assert "    accumulate: 1\n" in linear  # which stands in no file
    assert {path.name for path in Path().iterdir()} == {"conf", f"{project.module}.py"}  # nothing of Hydra's


@pytest.mark.parametrize("given", [("--cfg", "job"), ("-c", "job"), ("--cfg=job",)])
def test_cfg_tells_mistakes_as_a_run_does(project: OwnProject, command: Command, given: tuple[str]) -> None:
    project.write("method/own.yaml", OPTION)
    assert_mistake(
        command(*given, "method=own", "method.bta=2"), "there is no key method.bta: did you mean method.beta?"
    )


class TestNames:
    def test_of_a_built_in_option_is_refused(self, project: OwnProject) -> None:
        project.write("method/mvcgc.yaml", OPTION)
        assert compose(["method=cmc"]).method.part.label == "cmc"
        line = f"method=mvcgc: {project.folder}/conf/method/mvcgc.yaml is a built-in option, too: rename it"
        with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
            compose(["method=mvcgc"])

    def test_in_two_folders_is_refused(self, project: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
        project.write("method/own.yaml", OPTION)
        project.write("method/own.yaml", OPTION, conf="elsewhere")
        monkeypatch.setenv("MVCGC_CONFIG_DIR", str(project.folder / "elsewhere"))
        with pytest.raises(UserError, match=r"^method=own: .*/method/own.yaml lies in .*, too: rename it$"):
            compose(["method=own"])

    def test_in_one_folder_that_is_given_twice(
        self, project: OwnProject, monkeypatch: pytest.MonkeyPatch, command: Command
    ) -> None:
        project.write("method/own.yaml", OPTION)
        monkeypatch.setenv("MVCGC_CONFIG_DIR", "conf")
        ended = command("--config-dir", "conf", "--cfg", "job", "method=own")
        assert (ended.code, ended.err) == (0, "")


def test_other_programs_of_hydra_do_not_see_them(project: OwnProject, tmp_path: Path) -> None:
    project.write("method/own.yaml", OPTION)
    project.write("extra.yaml", "a: 1\n")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text("b: 2\n")
    with initialize_config_dir(str(other), version_base="1.3"):
        assert dict(hydra_compose("config")) == {"b": 2}
        path = GlobalHydra.instance().config_loader().get_search_path().get_path()
    assert not [element.path for element in path if str(project.folder) in element.path]


def test_tasks_in_a_new_process(project: OwnProject) -> None:
    """From the command line on, where nothing has been imported yet."""
    (project.folder / "mylab").mkdir()
    (project.folder / "mylab" / "parts.py").write_text(METHOD)
    project.write("method/own.yaml", OPTION.replace("MODULE", "mylab.parts"))
    line = [sys.executable, "-m", "mvcgc.run", "hydra/launcher=plan", "method=own"]
    done = subprocess.run(line, cwd=project.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Own [" in done.stdout


def test_an_option_that_there_is_not_names_the_users_own(project: OwnProject) -> None:
    project.write("downstream/knn.yaml", KNN)
    with pytest.raises(UserError, match=r"^downstream=kn: choose one of knn, "):
        compose(["downstream=kn"])
