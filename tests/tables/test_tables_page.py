"""Tables within a page: replaced where they are marked, and nothing else of the page."""

from pathlib import Path

import pytest

from mvcgc.errors import UserError
from mvcgc.tables import refresh
from mvcgc.tables.page import refreshed

TABLE = "# Title\n\n| a |\n| - |\n| 1 |\n\nSeed 0.\n\n- Scale: demo\n\n## Fingerprints\n\n| row |\n"
PAGE = (
    "# Mine\n\nBefore.\n<!-- table demo/one -->\nold\n<!-- end -->\nBetween.\n"
    "<!-- table demo/absent -->\nkept\n<!-- end -->\nAfter.\n"
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "one.md").write_text(TABLE)
    return tmp_path


def test_marked_tables_are_those_of_the_files(out: Path) -> None:
    (out / "README.md").write_text(PAGE)
    assert refresh(out) == out / "README.md"
    body = "| a |\n| - |\n| 1 |\n\nSeed 0.\n\n- Scale: demo\n"
    assert (out / "README.md").read_text() == PAGE.replace("old\n", body)
    assert refresh(out) is None


def test_a_page_without_tables_and_no_page_stay_so(out: Path) -> None:
    assert refresh(out) is None
    assert not (out / "README.md").exists()
    (out / "README.md").write_text("Nothing.\n")
    assert refresh(out) is None
    assert (out / "README.md").read_text() == "Nothing.\n"


@pytest.mark.parametrize("lost", ["old\n<!-- end -->", "kept\n<!-- end -->"])
def test_a_table_without_end_is_refused(out: Path, lost: str) -> None:
    """Or the text up to the next end would be lost."""
    page = PAGE.replace(lost, "text\n")
    (out / "README.md").write_text(page)
    name = "demo/one" if "old" in lost else "demo/absent"
    with pytest.raises(UserError, match=f"<!-- table {name} --> has no <!-- end -->"):
        refresh(out)
    assert (out / "README.md").read_text() == page


def test_the_projects_own_page_holds_its_tables() -> None:
    results = Path(__file__).parents[2] / "results"
    page = (results / "README.md").read_text()
    assert refreshed(page, results) == page
