"""docs/fidelity.md tells the presets as they are, and leaves no setting of the science out."""

from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import yaml

import mvcgc

PAGE = Path(__file__).parents[1] / "docs" / "fidelity.md"
PARTS = ("clip", "motion", "augment", "method", "init", "cross", "downstream")
MACHINERY = {
    # Of every training: speed, or without effect as the presets are.
    *("accumulate", "warmup_epochs", "milestones", "amp", "sync_bn", "weights"),
    # What is evaluated, not how.
    *("tasks", "datasets", "views", "metrics", "efficiency", "activation"),
}
ELSEWHERE = {
    "init.momentum": "of SGD",
    "cross.momentum": "of SGD",
    "downstream.augment.same_time_p": "of pairs of clips; classifiers see one",
}


def listed() -> dict[str, tuple[str, str]]:
    """The cells of UCF101 and K400, by key."""
    found = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            key, _, _, ucf101, k400, _ = [cell.strip() for cell in line.strip("|").split("|")]
            assert key not in found, f"{key} twice"
            found[key.strip("`")] = ucf101, k400
    return found


def plain(value: Any) -> Any:
    """A setting as YAML has it."""
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def keys_of(config: Any, before: str) -> list[str]:
    """The keys of the science below a part of a configuration."""
    found = []
    for each in fields(config):
        key, value = f"{before}.{each.name}", getattr(config, each.name)
        if each.name == "kinds":
            for name in value.keys() - MACHINERY:
                found += keys_of(value[name], f"{before}.{name}")
        elif each.name not in MACHINERY and key not in ELSEWHERE:
            found += keys_of(value, key) if is_dataclass(value) else [key]
    return found


@pytest.fixture(scope="module")
def presets() -> list[Any]:
    return [mvcgc.compose([f"scale={scale}", "downstream=paper"]).experiment for scale in ("ucf101", "k400")]


def value_of(config: Any, key: str) -> Any:
    for name in key.split("."):
        kinds = getattr(config, "kinds", None)  # of the downstream tasks, by name
        config = kinds[name] if isinstance(kinds, dict) and name in kinds else getattr(config, name)
    return plain(config)


def test_the_page_tells_the_presets(presets: list[Any]) -> None:
    wrong = [
        f"{key}: the page says {cell}, the preset {value_of(preset, key)}"
        for key, cells in listed().items()
        for cell, preset in zip(cells, presets, strict=True)
        if yaml.safe_load(cell) != value_of(preset, key)
    ]
    assert wrong == []


def test_the_page_names_every_setting_of_the_science(presets: list[Any]) -> None:
    page = listed()
    missing = [key for part in PARTS for key in keys_of(getattr(presets[0], part), part) if key not in page]
    assert missing == []
