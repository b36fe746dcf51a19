"""``mvcgc bench scale``: ranks on this machine, what they say to each other, and a model of many GPUs."""

import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from mvcgc.bench import measure
from mvcgc.bench.pretrain_step import Setting, backbone_of
from mvcgc.bench.scaling_model import Network, Step, fit
from mvcgc.bench.workload import Shape
from mvcgc.dist import Device
from mvcgc.errors import UserError

RANKS = (1, 2, 4)
GPUS = (1, 2, 4, 8, 16, 32, 64)
KINDS = {
    "gradients": "gradients (mean over ranks)",
    "shuffle": "clips as stored (batch shuffle)",
    "gather": "keys and ids (to every rank)",
    "statistics": "batch-norm statistics (mean)",
    "flags": "flags of the hosts (any)",
}

PAPER = Shape(frames=32, size=128, batch=32)
"""The paper's clips, 128 videos over 4 GPUs."""
BANDWIDTH = 25e9
LATENCY_S = 20e-6
SPEEDS = (40e12, 100e12)
"""What is assumed of the cluster: bytes/s of a GPU, seconds a message, and sustained FLOP/s of a GPU."""
BUCKET_BYTES = 25 << 20
"""DDP's own default."""


@dataclass(frozen=True)
class Ranks:
    """So many ranks here: seconds of a step on the clock and on a rank's processors, bytes that a rank hands
    to collectives by kind, and seconds of sums of so many bytes.
    """

    ranks: int
    step_s: float
    cpu_s: float
    bytes: dict[str, float]
    sums_s: dict[str, float]


def run(backbone: str, shape: Shape, device: Device, rounds: int) -> measure.BenchReport:
    """Run 1, 2 and 4 ranks, one after the other, and fit the model. Raises UserError where a rank fails."""
    here = measure.environment()
    passes = [[_ranks(number, backbone, shape, device) for number in RANKS] for _ in range(rounds)]
    found = [_medians(each) for each in zip(*passes, strict=True)]
    sums = {one.ranks: {int(size): s for size, s in one.sums_s.items()} for one in found if one.ranks > 1}
    network = fit(sums)
    flops = step_flops(Setting("cross", backbone_of(backbone), PAPER))
    scaled = _at_the_papers_shape(found[-1].bytes, shape)
    steps = {speed: _step(flops / speed, scaled) for speed in SPEEDS}
    return _report(_Model(here, shape, found, network, flops, steps), rounds)


def _medians(found: Sequence[Ranks]) -> Ranks:
    """The medians of what the same number of ranks have found in all rounds."""
    return replace(
        found[0],
        step_s=median([one.step_s for one in found]),
        cpu_s=median([one.cpu_s for one in found]),
        sums_s={size: median([one.sums_s[size] for one in found]) for size in found[0].sums_s},
    )


def _ranks(number: int, backbone: str, shape: Shape, device: Device) -> Ranks:
    measure.announce(f"{number} rank(s)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mvcgc.bench.scale_rank", device.value, backbone]
    command += [str(value) for value in (shape.frames, shape.size, shape.batch)]
    place = {"WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [
        subprocess.Popen(
            command,
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(number)
    ]
    told = [rank.communicate() for rank in ranks]
    for rank, (_, errors) in zip(ranks, told, strict=True):
        if rank.returncode != 0:
            said = " ".join(errors.strip().splitlines()[-3:])
            raise UserError(f"a rank of {number} ended with exit code {rank.returncode}: {said}")
    found = json.loads(told[0][0].splitlines()[-1])
    return Ranks(**{**found, "bytes": {kind: float(size) for kind, size in found["bytes"].items()}})


def step_flops(setting: Setting) -> float:
    """Floating-point operations of a step on one rank: queries forward and backward, keys forward."""
    with torch.device("meta"):
        model = setting.model()
        frames, size = setting.shape.frames, setting.shape.size
        one = {view: torch.empty(1, {"rgb": 3, "mv": 2}[view], frames, size, size) for view in setting.views}
        with FlopCounterMode(display=False) as counter:
            queries = model(one, setting.views)
            model.keys(one, setting.views)
            torch.stack([query.sum() for query in queries.values()]).sum().backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops()) * setting.shape.batch


def _at_the_papers_shape(found: Mapping[str, float], shape: Shape) -> dict[str, float]:
    videos = PAPER.batch / shape.batch
    pixels = PAPER.frames * PAPER.size**2 / (shape.frames * shape.size**2)
    grown = {"shuffle": videos * pixels, "gather": videos}
    return {kind: size * grown.get(kind, 1.0) for kind, size in found.items()}


def _step(compute_s: float, sizes: Mapping[str, float]) -> Step:
    # Of four parts of equal cost, queries forward, keys forward, and the backward pass, that is two.
    return Step(compute_s, 0.5, sizes, math.ceil(sizes["gradients"] / BUCKET_BYTES))


@dataclass(frozen=True)
class _Model:
    """What was measured with ``shape``, the network fitted to it, and the paper's step by speed of a GPU."""

    here: measure.Environment
    shape: Shape
    found: Sequence[Ranks]
    network: Network
    flops: float
    steps: Mapping[float, Step]


def _report(model: _Model, rounds: int) -> measure.BenchReport:
    here, shape, found, network, steps = model.here, model.shape, model.found, model.network, model.steps
    alone = found[0]
    predicted = [
        Step(alone.step_s * max(1.0, one.ranks / here.cores), 0.5, one.bytes).seconds(
            network, one.ranks, overlap=False
        )
        for one in found
    ]
    here_rows = [
        [
            one.ranks,
            one.step_s,
            guess,
            one.cpu_s,
            2 * shape.batch * one.ranks / one.step_s,
            100 * alone.step_s * max(1.0, one.ranks / here.cores) / one.step_s,
            100 * alone.cpu_s / one.cpu_s,
        ]
        for one, guess in zip(found, predicted, strict=True)
    ]
    scaled = next(iter(steps.values())).bytes
    kinds = [
        [label, found[-1].bytes.get(kind, 0) / 1e6, scaled.get(kind, 0) / 1e6]
        for kind, label in KINDS.items()
    ]
    cluster = Network(LATENCY_S, BANDWIDTH)
    efficiency = {
        f"{speed / 1e12:.0f} TFLOP/s, {'overlapped' if overlap else 'nothing overlaps'}": step.efficiency(
            cluster, GPUS, overlap
        )
        for speed, step in steps.items()
        for overlap in (False, True)
    }
    curves = [[label, *(100 * value for value in line)] for label, line in efficiency.items()]
    return measure.BenchReport(
        name="scale",
        title="Scaling of a cross-guidance step",
        machine=here,
        figures={
            "rounds": rounds,
            "shape": asdict(shape),
            "ranks": [asdict(one) for one in found],
            "predicted_step_s": predicted,
            "fitted": asdict(network),
            "paper": {"shape": asdict(PAPER), "flops": model.flops, "bytes": dict(scaled)},
            "assumed": {"latency_s": LATENCY_S, "bandwidth": BANDWIDTH, "flops_per_s": list(SPEEDS)},
            "gpus": list(GPUS),
            "efficiency": efficiency,
        },
        sections=_sections(model, here_rows, kinds, curves),
    )


def _sections(
    model: _Model,
    here_rows: Sequence[Sequence[object]],
    kinds: Sequence[Sequence[object]],
    curves: Sequence[Sequence[object]],
) -> list[str]:
    here_head = [
        "ranks",
        "s a step",
        "model",
        "CPU s of a rank",
        "clips/s",
        "efficiency, %",
        "by CPU time, %",
    ]
    shape, network = model.shape, model.network
    return [
        f"On this machine: {shape.batch} videos a rank, clips of {shape.frames} x {shape.size} x "
        f"{shape.size}, one thread a rank. The model is one rank's step, shared out to the cores there are, "
        f"plus communication that does not overlap, with {1e6 * network.latency_s:.0f} us a message and "
        f"{network.bandwidth / 1e9:.2g} GB/s, fitted to sums of {len(RANKS) - 1} numbers of ranks alone. "
        "Efficiency is one rank's step over a step of all, relative to the cores that there are; by the "
        "clock other work on the machine lowers it, by CPU time it tells what communicating costs "
        "processors, but not what waiting costs.",
        measure.markdown_table(here_head, here_rows),
        "What a rank hands to collectives in one step, MB; on the right for "
        f"{PAPER.batch} videos of {PAPER.frames} x {PAPER.size} x {PAPER.size}, the paper's share of a GPU:",
        measure.markdown_table(["kind", "measured", "paper's shape"], kinds),
        "Efficiency of N GPUs by the model, in per cent of N times one GPU:",
        measure.markdown_table(["GPU", *map(str, GPUS)], curves),
        f"This assumes, and nothing of it has been measured: {BANDWIDTH / 1e9:.0f} GB/s for each GPU "
        f"whatever the others do, {1e6 * LATENCY_S:.0f} us a message, rings for sums, "
        f"{model.flops / 1e12:.2g} TFLOP a step (counted) at the sustained speeds named; every rank computes "
        "equally long, data never has to be waited for, and journals and checkpoints take no time. "
        "Overlapped: gradients travel behind the backward pass, but for their last bucket.",
    ]
