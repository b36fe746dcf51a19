"""Steps, checkpoints and whole stages on a GPU that is not there; see `rehearsal` for what it refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest
import rehearsals
from real_processes import run_one

JOBS = [
    rehearsals.refused,
    rehearsals.pretraining_steps,
    rehearsals.supervised_steps,
    rehearsals.steps_of_ranks,
    rehearsals.pretrainings,
    rehearsals.retrieval,
    rehearsals.classification,
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.__name__)
def test_a_gpu_would_take_it(tmp_path: Path, job: Callable[[Path], None]) -> None:
    exit_code = run_one(rehearsals.rehearse, job, tmp_path)
    assert (tmp_path / "wrong.txt").read_text() == ""
    assert exit_code == 0
