"""Comparison tables, from a sweep's record and the DONE.json of its stages; MLflow is never asked.

``build`` gathers the facts (`model`), ``reference`` the paper's figures, ``comparability`` says what does
not go together, ``text`` turns facts into words and numbers, and one module per format lays them out.
"""

from mvcgc.tables.build import table_of
from mvcgc.tables.model import Cell, Difference, Line, Note, Table, Trial
from mvcgc.tables.page import refresh
from mvcgc.tables.reference import check_paper, paper_table, paper_tables
from mvcgc.tables.terminal import print_table
from mvcgc.tables.write import Written, write_tables

__all__ = [
    "Cell",
    "Difference",
    "Line",
    "Note",
    "Table",
    "Trial",
    "Written",
    "check_paper",
    "paper_table",
    "paper_tables",
    "print_table",
    "refresh",
    "table_of",
    "write_tables",
]
