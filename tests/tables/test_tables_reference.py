"""The paper's figures."""

import pytest

from mvcgc.errors import UserError
from mvcgc.tables import check_paper, paper_table, paper_tables


def test_every_row_of_every_column_can_be_named() -> None:
    for table in paper_tables().values():
        for index, column in enumerate(table.columns):
            if all(not isinstance(row[index], str) for row in table.rows):
                assert list(table.figures(column).values()) == [row[index] for row in table.rows]


def test_labels_say_no_more_than_they_need() -> None:
    labels = paper_table("table3_pretraining_settings_ucf101").figures("retrieval_r1")
    assert labels["Init."] == 33.1
    assert labels["CoCLR [RGB+MV]"] == 53.8
    assert labels["MVCGC (k=5, union)"] == 57.7
    linear = paper_table("table4_classification").figures("ucf_linear")
    assert linear["MVCGC* [RGB+MV, K400]"] == 78.0
    assert linear["VCP"] is None


def test_a_column_of_some_rows_only() -> None:
    table = paper_table("table5_retrieval")
    ucf, hmdb = table.figures("r1@UCF101"), table.figures("r1@HMDB51")
    assert (ucf["MVCGC [RGB+MV]"], hmdb["MVCGC [RGB+MV]"]) == (66.1, 25.6)
    assert "SpeedNet" in ucf
    assert "SpeedNet" not in hmdb


def test_a_figure_that_was_withdrawn_is_noted() -> None:
    table = paper_table("table3_pretraining_settings_ucf101")
    assert table.figures("linear_top1")["Init."] == 52.3
    assert list(table.notes) == ["linear_top1"]
    assert "52.3" in table.notes["linear_top1"]
    assert "46.8" in table.notes["linear_top1"]
    assert paper_table("table2_mv_vs_flow_ucf101").notes == {}


def test_titles() -> None:
    assert [table.title.split(" of ")[0] for table in paper_tables().values()] == [
        f"Table {n}" for n in range(1, 6)
    ]


@pytest.mark.parametrize(
    ("table", "columns", "rows", "message"),
    [
        ("table9", [], [], "paper_table='table9': there are table1_efficiency_ucf101, "),
        (
            "table5_retrieval",
            ["r2"],
            [],
            "paper='r2': table5_retrieval has the columns r1, r5, r10, r20, r50",
        ),
        ("table5_retrieval", ["views"], [], "paper='views': table5_retrieval has the columns r1"),
        ("table5_retrieval", ["r1@K400"], [], "paper='r1@K400': no row of table5_retrieval says K400"),
        ("table5_retrieval", ["r1@UCF101"], ["MVCGC"], "paper='MVCGC': table5_retrieval has the rows VCP; "),
        (None, ["r1"], [], "paper='r1': the sweep has no paper_table"),
        (None, [None], ["MVCGC"], "paper='MVCGC': the sweep has no paper_table"),
    ],
)
def test_a_wrong_name_is_one_line(
    table: str | None, columns: list[str | None], rows: list[str | None], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        check_paper(table, columns, rows)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_what_is_right_passes() -> None:
    check_paper("table5_retrieval", ["r1@UCF101", None], ["MVCGC [RGB+MV]", None])
    check_paper(None, [None], [None])
