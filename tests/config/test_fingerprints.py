"""Fingerprints of every committed sweep: a change of structure must not make users train again."""

import json
import sys
from pathlib import Path

import pytest

from mvcgc import plan
from mvcgc.config import Composer, Jobs, composer

GOLDEN = Path(__file__).with_name("fingerprints.json")
SWEEPS = sorted(path.stem for path in (Path(__file__).parents[2] / "sweeps").glob("*.yaml"))
SCALES = ("demo", "ucf101", "k400")


def stage_ids(composed: Composer, sweep: str, scale: str) -> list[str]:
    """Return the ids of all stages of a sweep before its datasets are scanned."""
    jobs = Jobs(composed, [[f"sweeps={sweep}", f"scale={scale}", "root=runs"]], single=False)
    rows = [row for table in jobs.tables() for row in table.rows]
    graph = plan.build(rows, dict.fromkeys(plan.dataset_needs(rows)))
    return sorted(graph.stages)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("sweep", SWEEPS)
def test_stages_keep_their_fingerprints(composed: Composer, sweep: str, scale: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert stage_ids(composed, sweep, scale) == golden[f"{sweep} {scale}"]


def write_golden() -> None:
    """Write the golden file, after a change that alters fingerprints on purpose (CHANGELOG names it)."""
    with composer() as composed:
        ids = {f"{sweep} {scale}": stage_ids(composed, sweep, scale) for sweep in SWEEPS for scale in SCALES}
    GOLDEN.write_text(json.dumps(ids, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(write_golden())
