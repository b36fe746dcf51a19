"""Parts written into a folder as a user would: what is found, what is refused, what names them."""

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from plan_factories import make_graph, make_row

import mvcgc.parts
from mvcgc.config import Composer, Config
from mvcgc.errors import UserError
from mvcgc.method.base import Method
from mvcgc.method.infonce import InfoNCE
from mvcgc.method.mvcgc import MVCGC
from mvcgc.models import Backbone, build_backbone
from mvcgc.parts import SOURCE, TARGET, VERSION, identity, import_folders, load, own_sources, verify
from mvcgc.runs.fingerprint import plain
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.pretrain.spec import PretrainSpec
from mvcgc.stages.spec import StageConfig, read_spec

HARD = '''
from dataclasses import dataclass

from mvcgc.errors import UserError
from mvcgc.method.base import Method, MethodConfig, multi_nce


class Hard(Method):
    """Weighs negatives by beta."""

    version = 1

    @dataclass
    class Config(MethodConfig):
        beta: float = 1.0

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.beta < 0:
                raise UserError(f"method.beta={self.beta}: give a number of at least 0")

    def loss(self, term):
        return multi_nce(term.logits * self.config.beta, term.positives, term.candidates)
'''

NAMES = iter(range(1000))
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module, which can be imported from then on; returns its name, which no other test has."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written: list[str] = []

    def write(text: str) -> str:
        name = f"parts_written_{next(NAMES)}"
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        written.append(name)
        return name

    yield write
    for name in written:
        sys.modules.pop(name, None)


def refused(target: object, line: str, base: type[mvcgc.parts.Part] = Method, key: str = "method") -> str:
    """The one line that `load` refuses ``target`` with; it names the key and the path."""
    with pytest.raises(UserError, match=re.escape(line)) as caught:
        load(target, base, key)
    said = str(caught.value)
    assert said.startswith(f"{key}._target_={target}: ")
    assert "\n" not in said
    return said


def edited(module: str, old: str, new: str) -> ModuleType:
    """The module after an edit, imported as a new process would."""
    file = Path(str(sys.modules[module].__file__))
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    del sys.modules[module]
    for cached in file.parent.glob(f"__pycache__/{module}.*"):
        cached.unlink()
    importlib.invalidate_caches()
    return importlib.import_module(module)


class TestLoading:
    def test_of_a_users_class_and_of_our_own_alike(self, write: Write) -> None:
        part = load(f"{write(HARD)}.Hard", Method, "method")
        assert (part.__name__, part.label, part.Config(beta=2.0).part) == ("Hard", "hard", part)
        assert load("mvcgc.method.mvcgc.MVCGC", Method, "method") is MVCGC

    def test_a_subclass_without_settings_has_those_of_its_base(self, write: Write) -> None:
        text = "from mvcgc.method.mvcgc import MVCGC\nclass Own(MVCGC):\n    version = 1\n"
        part = load(f"{write(text)}.Own", Method, "method")
        assert part.Config(k=3).part is part
        assert MVCGC.Config(k=3).part is MVCGC
        assert part.Config(k=3) != MVCGC.Config(k=3)

    @pytest.mark.parametrize("target", [None, 3, "", "Hard", ".Hard", "mylab.", ["a.B"]])
    def test_without_a_path(self, target: object) -> None:
        refused(target, "give an import path, such as mylab.parts.Method")

    def test_of_a_module_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        refused(
            "mylab.parts.Hard",
            f"there is no module mylab; it is looked for in the working directory ({tmp_path})",
        )
        refused("mvcgc.nowhere.Hard", "there is no module mvcgc.nowhere; ")

    def test_of_a_module_that_lacks_another(self, write: Write) -> None:
        said = refused(
            f"{write('import no_such_library')}.Hard", "raised ModuleNotFoundError: No module named"
        )
        assert "there is no module" not in said

    def test_of_a_module_that_raises(self, write: Write) -> None:
        name = write("x = 1\nraise ValueError('a\\nb')\n")
        refused(f"{name}.Hard", f"importing {name} raised ValueError: a b (")
        assert f"{name}.py:2)" in refused(f"{name}.Hard", "ValueError")

    def test_of_a_module_that_is_no_python(self, write: Write, tmp_path: Path) -> None:
        name = write("x = 1\nclass Hard(:\n")
        refused(
            f"{name}.Hard", f"importing {name} raised SyntaxError: invalid syntax ({tmp_path}/{name}.py:2)"
        )

    def test_of_a_class_misspelt(self, write: Write) -> None:
        name = write(HARD)
        refused(f"{name}.Hadr", f"{name} has no class Hadr, did you mean Hard?")
        assert refused(f"{name}.Zebra", f"{name} has no class Zebra").endswith("Zebra")

    @pytest.mark.parametrize("name", ["Plain", "function", "number"])
    def test_of_what_is_no_method(self, write: Write, name: str) -> None:
        text = "class Plain: version = 1\ndef function(): pass\nnumber = 3\n"
        refused(f"{write(text)}.{name}", "is no mvcgc.method.base.Method: derive it from that class")

    def test_of_another_sort_of_part(self, write: Write) -> None:
        text = "from mvcgc.parts import Part\nclass Other(Part):\n    version = 1\n"
        refused(f"{write(text)}.Other", "is no mvcgc.method.base.Method: derive it from that class")

    def test_of_a_class_with_abstract_methods(self, write: Write) -> None:
        text = (
            "from abc import abstractmethod\nfrom mvcgc.method.base import Method\n"
            "class Half(Method):\n    version = 1\n    @abstractmethod\n    def draw(self): ...\n"
        )
        refused(f"{write(text)}.Half", "Half does not define draw")

    @pytest.mark.parametrize("version", ["", "version = '1'", "version = True", "version = 1.0"])
    def test_of_a_class_without_version(self, write: Write, version: str) -> None:
        text = f"from mvcgc.method.mvcgc import MVCGC\nclass Own(MVCGC):\n    {version or 'pass'}\n"
        refused(f"{write(text)}.Own", "Own declares no version: write version = 1 into the class")

    def test_of_settings_that_are_no_dataclass(self, write: Write) -> None:
        refused(
            f"{write(HARD.replace('    @dataclass', ''))}.Hard",
            "Hard.Config is no dataclass: write @dataclass",
        )

    @pytest.mark.parametrize("bases", ["", "(PartConfig)"])
    def test_of_settings_that_lack_those_of_the_base(self, write: Write, bases: str) -> None:
        text = (
            "from dataclasses import dataclass\nfrom mvcgc.method.base import Method\n"
            "from mvcgc.parts import PartConfig\nclass Own(Method):\n    version = 1\n"
            f"    @dataclass\n    class Config{bases}:\n        beta: float = 1.0\n"
        )
        refused(f"{write(text)}.Own", "Own.Config does not derive from Method.Config")


class TestIdentity:
    def test_of_our_own_has_no_source(self) -> None:
        assert identity(MVCGC.Config()) == {TARGET: "mvcgc.method.mvcgc.MVCGC", VERSION: 1}
        assert own_sources(MVCGC) == ()
        assert import_folders(MVCGC) == []

    def test_an_edit_changes_it_and_nothing_else_does(self, write: Write, tmp_path: Path) -> None:
        name = write(HARD)
        part = load(f"{name}.Hard", Method, "method")
        first = identity(part.Config())
        assert first == identity(part.Config(beta=3.0))
        assert set(first) == {TARGET, VERSION, SOURCE}
        assert own_sources(part) == (tmp_path / f"{name}.py",)
        assert import_folders(part) == [str(tmp_path)]
        again = edited(name, "version = 1", "version = 1 ")
        assert identity(again.Hard.Config())[SOURCE] != first[SOURCE]
        back = edited(name, "version = 1 ", "version = 1")
        assert identity(back.Hard.Config()) == first

    def test_a_base_in_another_file_counts(self, write: Write) -> None:
        base = write(HARD)
        name = write(f"from {base} import Hard\nclass Harder(Hard):\n    version = 1\n")
        part = load(f"{name}.Harder", Method, "method")
        assert {file.stem for file in own_sources(part)} == {base, name}
        first = identity(part.Config())
        edited(base, "* self.config.beta", "/ self.config.beta")
        del sys.modules[name]
        now = load(f"{name}.Harder", Method, "method")
        assert identity(now.Config())[SOURCE] != first[SOURCE]

    def test_is_in_the_plain_form_beside_the_settings(self, write: Write) -> None:
        part = load(f"{write(HARD)}.Hard", Method, "method")
        config = part.Config(beta=2.0)
        assert plain(config) == {
            **{"beta": 2.0, "dim": 128, "init": True, "momentum": 0.999, "queue": 2048, "tau": 0.07},
            **identity(config),
        }

    def test_an_edit_changes_the_fingerprint_of_what_depends_on_it(self, write: Write) -> None:
        name = write(HARD)

        def stages() -> dict[str, str]:
            part = load(f"{name}.Hard", Method, "method")
            row = make_row(method=part.Config(queue=16))
            return {key: stage.fingerprint for key, stage in make_graph([row]).rows[0].stages.items()}

        before = stages()
        edited(name, "* self.config.beta", "/ self.config.beta")
        after = stages()
        same = {key for key in before if before[key] == after[key]}
        assert same == {"init/rgb", "init/mv"}  # which know nothing of the second stage's method


class TestVerifying:
    def test_what_has_not_changed_passes(self, write: Write) -> None:
        for part in (load(f"{write(HARD)}.Hard", Method, "method"), MVCGC):
            verify(part, identity(part.Config()), "method")

    @pytest.mark.parametrize(
        ("old", "new", "changed"),
        [("version = 1", "version = 2", "version"), ("* self.config.beta", "/ self.config.beta", "source")],
    )
    def test_of_an_edited_part(self, write: Write, old: str, new: str, changed: str) -> None:
        name = write(HARD)
        recorded = identity(load(f"{name}.Hard", Method, "method").Config())
        part = edited(name, old, new).Hard
        line = f"method: the {changed} of {name}.Hard has changed since the run was planned: start it again"
        with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
            verify(part, recorded, "method")

    def test_of_a_part_that_came_into_the_package_or_left_it(self) -> None:
        recorded = {**identity(MVCGC.Config()), SOURCE: "0123456789abcdef"}
        with pytest.raises(UserError, match=r"the source of mvcgc\.method\.mvcgc\.MVCGC has changed"):
            verify(MVCGC, recorded, "method")

    def test_a_stage_reads_its_part_back_and_refuses_an_edited_one(
        self, write: Write, tmp_path: Path
    ) -> None:
        name = write(HARD)
        part = load(f"{name}.Hard", Method, "method")
        row = make_row(method=part.Config(queue=16, beta=2.0), downstream__tasks=[])
        stage = make_graph([row]).rows[0].stages["cross"]
        folder = StageFolder(tmp_path / "cross")
        stage.config(tmp_path).write(folder)
        spec = read_spec(StageConfig.read(folder), PretrainSpec, folder)
        assert spec == stage.spec
        assert type(spec.method) is part.Config
        edited(name, "* self.config.beta", "/ self.config.beta")
        with pytest.raises(UserError, match=rf"method: the source of {name}.Hard has changed"):
            read_spec(StageConfig.read(folder), PretrainSpec, folder)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"beta": "much"}, r"method\.beta"),
            ({"gamma": 1}, "gamma"),
            ({"beta": -1.0}, r"method\.beta=-1\.0: give a number of at least 0"),
        ],
    )
    def test_a_stage_names_a_wrong_setting(
        self, write: Write, tmp_path: Path, values: dict[str, object], message: str
    ) -> None:
        part = load(f"{write(HARD)}.Hard", Method, "method")
        row = make_row(method=part.Config(queue=16), downstream__tasks=[])
        config = make_graph([row]).rows[0].stages["cross"].config(tmp_path)
        spec = {**config.spec, "method": {**config.spec["method"], **values}}
        with pytest.raises(UserError, match=message) as caught:
            read_spec(replace(config, spec=spec), PretrainSpec, StageFolder(tmp_path))
        assert "\n" not in str(caught.value)


WRAPPER = """
from dataclasses import dataclass

from torch import nn

from mvcgc.models import Backbone, BackboneConfig


class Wrapped(Backbone):
    version = 1
    min_frames = 4

    @dataclass
    class Config(BackboneConfig):
        channels: int = 8

    def __init__(self, config, in_channels):
        super().__init__(config, in_channels)
        self.network = nn.Conv3d(in_channels, config.channels, 3)
        self.dim = config.channels

    def forward(self, clip):
        return self.network(clip)
"""


Compose = Callable[..., Config]


@pytest.fixture
def compose(tmp_path: Path, write: Write) -> Compose:
    """Compose with a file of the user's own, ``method/own.yaml`` by default, of the given text."""

    def compose(text: str, *overrides: str, slot: str = "method") -> Config:
        (tmp_path / slot).mkdir(exist_ok=True)
        (tmp_path / slot / "own.yaml").write_text(text)
        with initialize_config_module("mvcgc.conf", version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            loader.get_search_path().prepend("test", f"file://{tmp_path}")
            return Composer(type(loader)(loader.get_search_path())).compose([f"{slot}=own", *overrides])

    return compose


class TestSlots:
    def test_a_users_file_is_an_option_like_ours(self, compose: Compose, write: Write) -> None:
        name = write(HARD)
        method = compose(f"_target_: {name}.Hard\nbeta: 0.5\n", "method.tau=0.1").method
        assert type(method) is sys.modules[name].Hard.Config
        assert (method.beta, method.tau, method.queue) == (0.5, 0.1, 64)
        assert compose(f"_target_: {name}.Hard\nbeta: 0.5\n", "method.beta=2").method.beta == 2.0

    @pytest.mark.parametrize(
        ("own", "override", "line"),
        [
            ("bta: 1", "seed=0", "there is no key method.bta: did you mean method.beta?"),
            ("colour: 1", "seed=0", "there is no key method.colour: method=hard has method.tau, "),
            ("beta: much", "seed=0", "method.beta=much: must be a number"),
            ("beta: 1", "method.bta=1", "there is no key method.bta: did you mean method.beta?"),
            ("beta: 1", "method.beta=much", "method.beta=much: must be a number"),
            ("beta: 1", "method.beta=-1", "method.beta=-1.0: give a number of at least 0"),
            ("beta: -1", "seed=0", "method.beta=-1.0: give a number of at least 0"),
        ],
    )
    def test_mistakes_are_told_as_those_of_fixed_keys(
        self, compose: Compose, write: Write, own: str, override: str, line: str
    ) -> None:
        with pytest.raises(UserError, match=f"^{re.escape(line)}") as caught:
            compose(f"_target_: {write(HARD)}.Hard\n{own}\n", override)
        assert "\n" not in str(caught.value)

    def test_a_file_that_names_no_class(self, compose: Compose) -> None:
        line = r"^method=\{.*\}: names no class; write _target_: mylab\.parts\.Method into its file$"
        with pytest.raises(UserError, match=line):
            compose("tau: 0.1\n")
        with pytest.raises(UserError, match=r"^method._target_=nowhere.Hard: there is no module nowhere"):
            compose("_target_: nowhere.Hard\n")

    @pytest.mark.parametrize("scale", ["demo", "ucf101"])
    def test_a_wrapper_of_a_module_is_a_backbone(self, compose: Compose, write: Write, scale: str) -> None:
        name = write(WRAPPER)
        file = f"_target_: {name}.Wrapped\n"
        config = compose(file, f"scale={scale}", "backbone.channels=5", "clip.frames=4", slot="backbone")
        assert (config.backbone.part.label, config.backbone.channels) == ("wrapped", 5)
        assert config.experiment.backbone is config.backbone
        assert build_backbone(config.backbone, 2).dim == 5
        with pytest.raises(
            UserError, match=r"no key backbone\.width: backbone=wrapped has backbone\.channels"
        ):
            compose(file, "backbone.width=0.5", slot="backbone")

    def test_a_clip_may_be_as_small_as_the_backbone_takes(self, write: Write) -> None:
        part = load(f"{write(WRAPPER)}.Wrapped", Backbone, "backbone")
        assert make_graph([make_row(backbone=part.Config(), clip__frames=4, clip__size=16)])
        with pytest.raises(UserError, match=r"clip\.frames=3: backbone=wrapped needs 4 frames at least"):
            make_graph([make_row(backbone=part.Config(), clip__frames=3)])

    def test_settings_that_cannot_be_typed(self, compose: Compose, write: Write) -> None:
        name = write(HARD.replace("beta: float = 1.0", "beta: object() = 1.0"))
        with pytest.raises(UserError, match=rf"^method: {name}\.Hard\.Config: ") as caught:
            compose(f"_target_: {name}.Hard\n")
        assert "\n" not in str(caught.value)


def test_a_label_is_the_classs_own() -> None:
    class Loud(InfoNCE):
        version = 1

    class Named(InfoNCE):
        version = 1
        label = "quiet"

    class Next(Named):
        version = 1

    assert (Loud.label, Named.label, Next.label, InfoNCE.label) == ("loud", "quiet", "next", "infonce")


def test_settings_derived_twice_know_their_own_part() -> None:
    class First(MVCGC):
        version = 1

        @dataclass
        class Config(MVCGC.Config):
            more: int = 0

    class Second(First):
        version = 1

    assert Second.Config(more=1).part is Second
    assert First.Config(more=1).part is First
    assert MVCGC.Config().part is MVCGC
