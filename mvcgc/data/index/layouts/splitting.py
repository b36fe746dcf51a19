"""Splits of videos by their groups, stratified by class: no group is in two splits."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mvcgc.data.index.layouts.listing import Entry, share

VAL, TEST = 0.1, 0.2
"""Shares of a class's videos; the rest is train."""
GROUPS_FOR_TEST, GROUPS_FOR_VAL = 2, 4
"""A class with so many groups has at least one of them in test, in val."""

Counts = Mapping[int, int]
"""Videos of a group by label."""


def split(entries: Sequence[Entry], unit: Mapping[str, str]) -> list[Entry]:
    """Assign entries to train, val and test.

    The result depends on the names, sizes and labels of the groups alone.

    Args:
        entries: of any part.
        unit: by path, the group that must not be divided.
    """
    counts = _count(entries, unit)
    part = dict.fromkeys(counts, "train")
    part |= dict.fromkeys(choose(counts, counts, TEST, GROUPS_FOR_TEST, leave_for_val=True), "test")
    training = {group: labels for group, labels in counts.items() if part[group] == "train"}
    part |= dict.fromkeys(choose(counts, training, VAL, GROUPS_FOR_VAL), "val")
    return [replace(entry, part=part[unit[entry.path]]) for entry in entries]


def carve_by_class(entries: Sequence[Entry]) -> tuple[list[Entry], bool]:
    """Move about a tenth of the training groups to val where there is no val; say whether any was moved.

    A group that is in test too stays in train.
    """
    if any(entry.part == "val" for entry in entries):
        return list(entries), False
    unit = {entry.path: entry.group for entry in entries}
    training = _count((entry for entry in entries if entry.part == "train"), unit)
    elsewhere = {entry.group for entry in entries if entry.part != "train"}
    free = {group: labels for group, labels in training.items() if group not in elsewhere}
    chosen = choose(training, free, VAL, GROUPS_FOR_VAL)
    moved = [replace(e, part="val") if e.part == "train" and e.group in chosen else e for e in entries]
    return moved, bool(chosen)


def choose(
    counts: Mapping[str, Counts],
    free: Mapping[str, Counts],
    fraction: float,
    least: int,
    *,
    leave_for_val: bool = False,
) -> set[str]:
    """Choose groups that hold about ``fraction`` of the videos of each class, by a hash of their names.

    Every class keeps a group that is not chosen; one with ``least`` groups or more has one that is, where
    that is possible.

    Args:
        counts: all groups; they say how many videos and groups each class has.
        free: those that may be chosen.
        fraction: of each class's videos.
        least: number of groups.
        leave_for_val: whether a class that has groups enough for val keeps one more.
    """
    total: Counter[int] = Counter()
    groups: Counter[int] = Counter()
    for labels in counts.values():
        total.update(labels)
        groups.update(dict.fromkeys(labels, 1))
    left: Counter[int] = Counter(label for labels in free.values() for label in labels)
    chosen: set[str] = set()
    taken: Counter[int] = Counter()

    def cost(group: str) -> float:
        """By how much taking the group moves the classes away from their shares; below 0, towards."""
        moved = 0.0
        for label, videos in free[group].items():
            before = taken[label] - fraction * total[label]
            moved += ((before + videos) ** 2 - before**2) / total[label]
        return moved

    def take(group: str) -> None:
        chosen.add(group)
        taken.update(free[group])
        left.subtract(dict.fromkeys(free[group], 1))

    def may_go(group: str) -> bool:
        return group not in chosen and all(
            left[label] > 1 + (leave_for_val and groups[label] >= GROUPS_FOR_VAL) for label in free[group]
        )

    order = sorted(free, key=lambda group: (share(f"part/{group}"), group))
    for group in order:
        if may_go(group) and cost(group) <= 0:
            take(group)
    for label in sorted(total):
        if taken[label] or groups[label] < least:
            continue
        able = [group for group in order if label in free[group] and may_go(group)]
        if able:
            take(min(able, key=cost))
    return chosen


def _count(entries: Iterable[Entry], unit: Mapping[str, str]) -> dict[str, Counter[int]]:
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for entry in entries:
        counts[unit[entry.path]][entry.label] += 1
    return dict(counts)
