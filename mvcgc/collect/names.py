"""What MLflow accepts as names and values, as pure functions of text."""

import posixpath
import re

NAME_LENGTH = 250
PARAM_LENGTH = 6000
TAG_LENGTH = 8000
_FOREIGN = re.compile(r"[^\w.\- :/]")


def metric_name(stage: str, metric: str) -> str:
    """``<stage>/<metric>`` with exactly one slash: the UI makes one section of charts per stage.

    ``retrieve/ucf101`` and ``r1_rgb`` give ``retrieve_ucf101/r1_rgb``.
    """
    return f"{_part(stage)}/{_part(metric)}"


def key_name(key: str) -> str:
    """The name of a parameter or a tag: foreign characters become underscores; not empty, not too long."""
    name = _FOREIGN.sub("_", key)[:NAME_LENGTH]
    if posixpath.normpath(name) != name or name.startswith(("/", "..")) or name == ".":
        name = name.replace("/", "_").replace("..", "_.").strip(" .") or "_"
    return name


def value_text(value: object, length: int) -> str:
    """A value as MLflow shows it, cut visibly where it would be too long."""
    if isinstance(value, list | tuple):
        text = "+".join(map(str, value))
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = str(value)
    return text if len(text) <= length else text[: length - 1] + "…"


def _part(text: str) -> str:
    part = _FOREIGN.sub("_", text).replace("/", "_")[: NAME_LENGTH // 2 - 1]
    return part if part.strip(". ") else "_" * max(len(part), 1)
