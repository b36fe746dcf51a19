"""How long stages will take, by the speed that earlier ones have reached, or that the user has given."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from mvcgc.errors import UserError
from mvcgc.parts import TARGET
from mvcgc.plan.cache import ByContent
from mvcgc.plan.graph import Stage
from mvcgc.runs.fingerprint import canonical_json, plain
from mvcgc.runs.folder import StageDamaged, StageFolder
from mvcgc.stages.spec import Runtime, StageConfig

# Of the finished pre-trainings so many are read, the newest: reading one takes milliseconds.
READ = 100

Key = tuple[str, ...]


class Speeds:
    """Clips per second and rank; ``given`` holds for one network on one rank, and before what was measured.

    Only pre-trainings under the same root with the same network, clips and kind of device are a measure.
    Where none has trained the same views in the same way, the pace of a network at a time is.
    """

    def __init__(self, root: Path, given: float | None) -> None:
        self._given = given
        self._json = ByContent(lambda part: canonical_json(plain(part)))
        alike: dict[Key, list[float]] = defaultdict(list)
        for config, clips_per_s in () if given else _finished(root):
            spec, per_rank = config.spec, clips_per_s / config.runtime.ranks
            alike[self._exact(spec, config.runtime)].append(per_rank)
            alike[self._roughly(spec, config.runtime)].append(per_rank * len(spec["views"]))
        self._measured = {key: median(found) for key, found in alike.items()}

    def seconds(self, stage: Stage) -> float | None:
        """How long it would run, start to end; 0 where nothing learns, None where no speed is known."""
        cost, ranks = stage.cost, stage.runtime.ranks
        if cost.clip_epochs == 0:
            return 0.0
        if self._given:
            return cost.clip_epochs / (self._given * ranks)
        if not self._measured:
            return None
        parts = stage.parts
        exact = self._measured.get(self._exact(parts, stage.runtime))
        if exact and stage.program.pretrains:
            return cost.epochs * cost.clips / (exact * ranks)
        roughly = self._measured.get(self._roughly(parts, stage.runtime))
        return cost.clip_epochs / (roughly * ranks) if roughly else None

    def _exact(self, spec: Mapping[str, Any], runtime: Runtime) -> Key:
        method = plain(spec["method"]).get(TARGET, "") if "method" in spec else ""
        return (*self._roughly(spec, runtime), *spec["views"], str(method))

    def _roughly(self, spec: Mapping[str, Any], runtime: Runtime) -> Key:
        cores = "" if runtime.gpus else str(runtime.cpus)
        parts = (spec["backbone"], spec["clip"])
        return (*map(self._json, parts), runtime.device.value, str(runtime.gpus), cores)


def _finished(root: Path) -> Iterator[tuple[StageConfig, float]]:
    """The newest finished pre-trainings and their clips per second over all ranks."""
    stages = root / "stages"
    done = [*stages.glob("init/*/DONE.json"), *stages.glob("cross-*/DONE.json")]
    for path in sorted(done, key=lambda path: -path.stat().st_mtime)[:READ]:
        folder = StageFolder(path.parent)
        try:
            found, config = folder.read_done(), StageConfig.read(folder)
        except (StageDamaged, UserError):
            continue  # damaged, or of another version of this project: no measure
        if found is not None and found.metrics.get("clips_per_s", 0) > 0:
            yield config, found.metrics["clips_per_s"]
