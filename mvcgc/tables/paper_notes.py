"""Footnotes on published metrics: corrections since, and the protocol of ours."""

from collections.abc import Iterable

from mvcgc.plan import SweepRecord
from mvcgc.tables.model import Note
from mvcgc.tables.reference import paper_table

RETRIEVAL = "retrieve"
"""The kind of stages whose figures depend on the protocol."""

PROTOCOLS = {
    "coclr": "Retrieval as in the published figures (CoCLR): one centre crop, l2-normalised features "
    "averaged over windows, those of training and test videos each centred by their own mean, cosine "
    "similarity.",
    "crops": "Retrieval by the crops and windows of the test, features not centred "
    "(retrieve.protocol=crops): the published figures are of another protocol.",
}


def paper_notes(record: SweepRecord) -> Iterable[Note]:
    """Yield the corrections to the paper's table that apply, and the protocol of our retrieval."""
    if record.table.paper_table is not None:
        shown = {column.paper for column in record.table.columns}
        notes = paper_table(record.table.paper_table).notes
        yield from (Note("", text) for column, text in notes.items() if column in shown)
    stages = {column.stage.partition("/")[0] for column in record.table.columns}
    if RETRIEVAL in stages:
        # A table of several protocols is refused before anything runs.
        downstream = [record.config(row).get("downstream", {}) for row in record.rows]
        used = {each[RETRIEVAL]["protocol"] for each in downstream if RETRIEVAL in each}
        yield from (Note("", PROTOCOLS[name]) for name in sorted(used))
