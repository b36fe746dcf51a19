"""What figures have cost, by journals cut off, interrupted and resumed."""

import json
from pathlib import Path

import pytest
from fake_sweep import FakeSweep

from mvcgc.runs.folder import StageFolder
from mvcgc.tables import table_of
from mvcgc.tables.cost import Cost, cost_of

HOUR = 3_600_000


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    made = StageFolder.of(tmp_path, "cross", "0123456789abcdef")
    made.journal.mkdir(parents=True)
    return made


def write(folder: StageFolder, attempt: int, *times: int, torn: str = "") -> None:
    lines = [json.dumps({"seq": seq, "ts_ms": time}) + "\n" for seq, time in enumerate(times)]
    (folder.journal / f"{attempt}.jsonl").write_text("".join(lines) + torn)


def test_all_attempts_of_all_ranks_count(folder: StageFolder) -> None:
    write(folder, 1, 10 * HOUR, 11 * HOUR, 12 * HOUR)
    write(folder, 2, 20 * HOUR, 21 * HOUR, torn='{"seq": 2, "ts_')
    folder.provenance.write_text(
        json.dumps({"attempts": [{"ranks": ["a"]}, {"ranks": ["a", "b", "c", "d"]}]})
    )
    assert cost_of([folder]) == Cost(1, 12.0)


def test_only_the_ends_of_a_long_journal_are_read(folder: StageFolder) -> None:
    write(folder, 1, *range(0, 10_000_000, 100))
    assert cost_of([folder]).rank_hours == pytest.approx(9_999_900 / HOUR)


@pytest.mark.parametrize("text", ["", "{", '{"ts_ms": 5}', "[1]\n", '{"ts_ms": null}\n'])
def test_a_journal_without_two_records_took_no_time(folder: StageFolder, text: str) -> None:
    (folder.journal / "1.jsonl").write_text(text)
    assert cost_of([folder]) == Cost(1, 0.0)


def test_unfinished_stages_do_not_count(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path)
    row = sweep.row("CMC", 0)
    sweep.row("Init.", 0)
    sweep.finish(row.stages["cross"])
    sweep.write()
    assert table_of(tmp_path, sweep.record).cost.stages == 1
