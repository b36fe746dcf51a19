"""docs/fidelity.md matches the presets, and lists every scientific setting of its sections."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import yaml

import mvcgc

PAGE = Path(__file__).parents[1] / "docs" / "fidelity.md"
SCALES = ("ucf101", "k400")
MACHINERY = {
    # Of every training: speed, or off in the presets (asserted below).
    *("accumulate", "warmup_epochs", "amp", "sync_bn", "weights"),
    # The choice of evaluations, not their settings.
    *("tasks", "datasets", "views", "metrics", "efficiency", "activation"),
    # Where a dataset lies, and which.
    *("name", "root", "split"),
}
OFF = {"accumulate": 1, "warmup_epochs": 0.0, "amp": "none", "sync_bn": False, "weights": {}}
ONLY_OF = {"patience": "plateau", "milestones": "steps"}
"""Keys that count under one schedule alone."""
PAIRS_ONLY = "downstream.augment.same_time_p"
"""Of pairs of clips; classifiers take one."""


@dataclass(frozen=True)
class Section:
    """A section of the page: cells by key, under the presets and parts that it names."""

    presets: list[str]
    parts: list[str]
    cells: dict[str, tuple[str, ...]]


def sections() -> Iterator[Section]:
    for text in PAGE.read_text().split("\n## ")[1:]:
        head = re.search(r"^Presets: (.*)\. Parts: (.*)\.$", text, re.MULTILINE)
        cells = {}
        for line in text.splitlines():
            if line.startswith("| `"):
                key, *_, ucf101, k400, _ = (cell.strip() for cell in line.strip("|").split("|"))
                assert key not in cells, f"{key} twice"
                cells[key.strip("`")] = ucf101, k400
        assert bool(cells) == bool(head), f"a table, and the presets that it is of: {text[:40]}"
        if head:
            yield Section(re.findall("`(.*?)`", head[1]), head[2].split(", "), cells)


def plain(value: Any) -> Any:
    """A setting as YAML has it."""
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def keys_of(config: Any, before: str) -> list[str]:
    """The scientific keys below a part of a configuration."""
    found = []
    for each in fields(config):
        key, value = f"{before}.{each.name}", getattr(config, each.name)
        if each.name in OFF and not is_dataclass(value):
            assert plain(value) == OFF[each.name], f"{key} is {value}: it belongs on the page"
        if each.name == "kinds":  # settings of downstream tasks, by name
            for name in value.keys() - MACHINERY:
                found += keys_of(value[name], f"{before}.{name}")
        elif each.name not in MACHINERY and key != PAIRS_ONLY and is_used(each.name, config):
            found += keys_of(value, key) if is_dataclass(value) else [key]
    return found


def is_used(name: str, config: Any) -> bool:
    """Return whether the setting has an effect beside the others of its part."""
    if name in ONLY_OF:
        return plain(config.schedule) == ONLY_OF[name]
    return name != "momentum" or plain(getattr(config, "kind", "sgd")) == "sgd"


def value_of(config: Any, key: str) -> Any:
    for name in key.split("."):
        kinds = getattr(config, "kinds", None)
        config = kinds[name] if isinstance(kinds, dict) and name in kinds else getattr(config, name)
    return plain(config)


@pytest.mark.parametrize(
    "section", list(sections()), ids=lambda section: "+".join(section.presets + section.parts)
)
def test_the_page_matches_the_presets_and_is_complete(section: Section) -> None:
    for column, scale in enumerate(SCALES):
        experiment = mvcgc.compose([f"scale={scale}", f"dataset={scale}", *section.presets]).experiment
        expected = sorted(key for part in section.parts for key in keys_of(getattr(experiment, part), part))
        assert sorted(section.cells) == expected
        wrong = [
            f"{scale}, {key}: the page has {cells[column]}, the preset {value_of(experiment, key)}"
            for key, cells in section.cells.items()
            if yaml.safe_load(cells[column]) != value_of(experiment, key)
        ]
        assert wrong == []


def test_the_page_has_all_parts() -> None:
    named = {
        (preset, part)
        for section in sections()
        for part in section.parts
        for preset in section.presets or [""]
    }
    parts = ("dataset", "clip", "motion", "augment", "method", "backbone", "init", "cross")
    downstream = [("downstream=paper", "downstream"), ("downstream=coclr", "downstream")]
    assert {*(("", part) for part in parts), ("method=coclr", "method"), *downstream} == named
