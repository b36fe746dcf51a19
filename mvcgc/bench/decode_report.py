"""The figures of ``mvcgc bench decode`` as Markdown and as a bar chart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mvcgc.bench.measure import BenchReport, Environment, markdown_table

RGB_ALONE = frozenset({"ours rgb", "decord", "OpenCV", "OpenCV averaging", "torchcodec"})
MOTION_ALONE = frozenset({"ours mv", "TV-L1", "TV-L1 at 128", "DIS", "DIS at 128"})


def report(figures: dict[str, Any], machine: Environment) -> BenchReport:
    """Tables of speed, of speed against ffmpeg's, of phases and of memory."""
    names = list(figures["files"])
    files = [[name, *figures["files"][name].values()] for name in names]
    speed = [
        [reader, _delivers(reader), *(f"{1000 / each[name]:.3g}" for name in names)]
        for reader, each in figures["ms_per_clip"].items()
    ]
    sections = [
        "A clip is 32 frames from a random one on, the whole picture, at 128x128. Processor time, "
        f"medians of {figures['rounds']} interleaved rounds, each reader in a process of its own on one "
        "core. A turn begins with a clip that is not counted: a worker that reads on has warm caches. "
        "Ours ends with arrays for a batch, whose pictures become RGB on the device (the time of that is "
        "below); ffmpeg's time is without the program's start. Flow is one pair's, times 31.",
        markdown_table(["file", *figures["files"][names[0]]], files),
        "Clips per second of one core:",
        markdown_table(["", "delivers", *names], speed),
    ]
    if figures["quartiles_relative_to_ffmpeg"]:
        against = [
            [reader, *(_spread(each[name]) for name in names)]
            for reader, each in figures["quartiles_relative_to_ffmpeg"].items()
            if reader not in MOTION_ALONE or reader == "ours mv"
        ]
        told = "Speed against ffmpeg, decoding, exporting and scaling the same frames"
        sections += [
            f"{told} (the median of rounds and their middle half):",
            markdown_table(["", *names], against),
        ]
    told = "Where our time goes, RGB + MV, ms per clip (on the clock):"
    sections += [_absent(figures), told, _phases(figures["phases_ms"], names, total=True)]
    told = "Colour, ms per clip: to planes in the reader, from there to RGB on the device, libswscale in one:"
    sections += [told, _phases(figures["colour_ms"], names), *_memory(figures["memory"])]
    return BenchReport("decode", "Decoding RGB and motion vectors", machine, figures, sections)


def _spread(quartiles: list[float]) -> str:
    first, middle, third = quartiles
    return f"{middle:.2f}x ({first:.2f} to {third:.2f})"


def _delivers(reader: str) -> str:
    if reader == "ours two clips":
        return "2 x rgb + mv"
    return "rgb" if reader in RGB_ALONE else "motion" if reader in MOTION_ALONE else "rgb + mv"


def _absent(figures: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{reader} {told}" for reader, told in figures["versions"].items() if told)
    absent = "; ".join(f"{reader} ({why})" for reader, why in figures["absent"].items()) or "none"
    return f"Versions: {versions}. Absent: {absent}."


def _phases(phases: Mapping[str, Mapping[str, float]], names: list[str], total: bool = False) -> str:
    kinds = list(dict.fromkeys(kind for name in names for kind in phases[name]))
    rows = [[kind, *(f"{phases[name].get(kind, 0):.2f}" for name in names)] for kind in kinds]
    if total:
        rows.append(["all", *(f"{sum(phases[name].values()):.2f}" for name in names)])
    return markdown_table(["", *names], rows)


def _memory(held: list[dict[str, float]]) -> list[str]:
    shown = [held[0], *held[1 :: max(len(held) // 6, 1)], held[-1]]
    rows = [[f"{h[key]:.0f}" for key in ("clips", "resident_mb", "anonymous_mb", "shared_mb")] for h in shown]
    told = (
        "What one of the loader's workers holds that reads clips of these files in turns, in MB; what is "
        "shared with the loader is a batch's room, here of one clip:"
    )
    return [told, markdown_table(["clips read", "resident", "of it anonymous", "of it shared"], rows)]


def chart(figures: Mapping[str, Any], path: Path) -> None:
    """A bar for each reader and file: clips per second of one core."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.patches import Rectangle

    names = list(figures["files"])
    readers = [
        reader for reader in figures["ms_per_clip"] if reader not in MOTION_ALONE or reader == "ours mv"
    ]
    colours = {"rgb + mv": "tab:blue", "2 x rgb + mv": "tab:cyan", "rgb": "tab:orange", "motion": "tab:green"}
    shown, axes = pyplot.subplots(
        1, len(names), figsize=(3.2 * len(names), 4), sharey=True, layout="constrained"
    )
    for axis, name in zip([axes] if len(names) == 1 else axes, names, strict=True):
        speeds = [1000 / figures["ms_per_clip"][reader][name] for reader in readers]
        bars = axis.barh(readers, speeds, color=[colours[_delivers(reader)] for reader in readers])
        axis.bar_label(bars, fmt="%.3g", padding=2)
        axis.margins(x=0.2)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("clips / s")
    axis.invert_yaxis()
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    shown.legend(handles, list(colours), loc="outside lower center", ncols=len(colours))
    shown.savefig(path, dpi=150)
    pyplot.close(shown)
