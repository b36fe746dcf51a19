"""Plans of many rows, and of the paper's tables, from the command line on."""

import re
import subprocess
import sys
from pathlib import Path

GRID = [
    f"method.k={','.join(map(str, range(1, 11)))}",
    f"method.tau={','.join(f'0.{n:02d}' for n in range(3, 13))}",
    f"cross.lr={','.join(f'{n}e-4' for n in range(1, 11))}",
    f"cross.weight_decay={','.join(f'{n}e-6' for n in range(1, 11))}",
    "seed=0,1,2",
]


WATCHED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
"""Runs a command and tells the most memory that it held. A process of its own, and a small one: what the
kernel tells of a child begins with what its parent held when it was started."""


def plan(root: Path, *arguments: str) -> tuple[str, int]:
    """What the command prints, and the most memory that it held, in KiB."""
    command = [sys.executable, "-m", "mvcgc.run", "-m", "hydra/launcher=plan", f"root={root}", *arguments]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, int(done.stderr.splitlines()[-1])


def test_thirty_thousand_rows_fit_into_a_gibibyte(tmp_path: Path) -> None:
    out, held = plan(tmp_path, *GRID)
    # Two initialisations per temperature and seed; cross, a linear probe and a retrieval per row.
    assert f"10000 rows x 3 seeds: {2 * 10 * 3 + 3 * 30_000} stages" in out
    assert held < 2**20


def test_the_papers_tables_share_most_of_their_pretraining(tmp_path: Path) -> None:
    out, _ = plan(tmp_path, "sweeps=table2,table3,table4,table5", "scale=ucf101")
    found = re.search(
        r"network-epochs of pre-training: ([\d,]+) if every row ran alone, ([\d,]+) shared", out
    )
    assert found is not None
    alone, shared = (int(figure.replace(",", "")) for figure in found.groups())
    # Five initialisations of 300 epochs; cross guidance of 200: CoCLR, one network at a time, with flow and
    # motion vectors; two networks for MVCGC, with flow and six times with motion vectors, CMC and UberNCE.
    assert shared == 5 * 300 + 2 * 200 + 9 * 2 * 200
    assert shared <= 0.3 * alone
