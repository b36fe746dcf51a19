"""Lines that sum up a dataset: its classes, groups, skipped files, and mistakes in its splits."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

WIDTH = 80
MOST_CELLS = 60
"""So many classes are listed one by one; of more, the extremes are."""
NAMED = 3
"""Names in a line that stands for many."""

PARTS = ("train", "val", "test")
Counts = Mapping[str, Counter[str]]
"""Videos of each class by part."""


def class_lines(classes: Sequence[str], counts: Counts, whole: bool) -> Iterator[str]:
    """Yield the videos of each class, ``train/val/test``; of many classes a summary unless ``whole``."""
    if not classes:
        return
    cells = {name: "/".join(str(counts[name][part]) for part in PARTS) for name in classes}
    yield f"videos per class, {'/'.join(PARTS)}:"
    if whole or len(classes) <= MOST_CELLS:
        yield from columns([f"{name} {cell}" for name, cell in cells.items()])
        return
    for part in PARTS:
        numbers = [counts[name][part] for name in classes]
        yield f"  {part:<6} {min(numbers)} to {max(numbers)}, median {median(numbers):g}"
    total = {name: sum(counts[name].values()) for name in classes}
    order = sorted(classes, key=lambda name: (total[name], name))
    yield f"  fewest {_some([f'{name} {cells[name]}' for name in order[:NAMED]])}"
    yield f"  most   {_some([f'{name} {cells[name]}' for name in order[: -NAMED - 1 : -1]])}"
    yield "  all of them in the report beside the manifest"


def columns(cells: Sequence[str], width: int = WIDTH) -> Iterator[str]:
    """Yield lines of at most ``width`` characters with the cells in columns, read downwards."""
    widest = max(map(len, cells))
    across = max(1, width // (widest + 2))
    down = -(-len(cells) // across)
    for row in range(down):
        yield "  " + "  ".join(cell.ljust(widest) for cell in cells[row::down]).rstrip()


def group_line(groups: Iterable[str]) -> str:
    """Return how many groups there are, and of how many videos."""
    sizes = Counter(groups)
    if not sizes:
        return "groups: none"
    low, high = min(sizes.values()), max(sizes.values())
    return f"groups: {len(sizes)}, of {low if low == high else f'{low} to {high}'} videos each"


def skipped_line(skipped: Mapping[str, int]) -> str:
    """Return how many files were left out, by suffix."""
    kinds = [f"{count} {suffix or 'without suffix'}" for suffix, count in skipped.items()]
    return f"skipped, no suffix of a video: {', '.join(kinds)}"


def warnings(
    classes: Sequence[str], counts: Counts, groups: Iterable[tuple[str, str]], *, carved: bool
) -> Iterator[str]:
    """Yield what is wrong with the splits.

    Args:
        classes: names of the classes.
        counts: videos of each class by part.
        groups: of each video, the group and the part.
        carved: whether val is a part of the training split.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for group, part in groups:
        parts[group].add("train" if carved and part == "val" else part)
    divided = sorted(group for group, found in parts.items() if len(found) > 1)
    if divided:
        tested = sum("test" in parts[group] for group in divided)
        yield (
            f"{len(divided)} of {len(parts)} groups are in two splits ({tested} of them in test): "
            f"{_some(divided)}"
        )
    there = {part for name in classes for part in counts[name] if counts[name][part]}
    for part in sorted(there & {"train", "test"}, reverse=True):
        if without := [name for name in classes if not counts[name][part]]:
            yield f"{len(without)} of {len(classes)} classes have no {part} video: {_some(without)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
