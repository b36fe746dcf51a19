"""The table in Markdown, for README files, issues and MLflow's notes."""

import re
from collections.abc import Sequence

from mvcgc.tables import text
from mvcgc.tables.model import Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$])")


def escape(words: str) -> str:
    """Plain words, such that Markdown shows them as they are."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split()))


def to_markdown(table: Table) -> str:
    """The whole document: title, table, legend, notes, origin and fingerprints."""
    parts, headings = text.grid(table)
    rows = []
    for line in table.lines:
        cells = [escape(words) for words in text.cell_texts(table, line, parts)]
        for at, (column, what) in enumerate(parts):
            if what == "figure" and line.cells[column].best:
                cells[at] = f"**{cells[at]}**"
        name = escape(text.name(line))
        rows.append([f"*{name}*" if line.literature else name, text.seeds(line), *cells])
    header = ["", "seeds", *map(escape, headings)]
    sections = [f"# {escape(table.title)}", _pipes(header, rows, right=range(1, len(header)))]
    sections.append(escape(text.legend(table)))
    if table.notes:
        sections.append("\n".join(f"- {escape(text.note(note))}" for note in table.notes))
    facts = [
        (what, f"`{words}`" if what == "Command" else escape(words)) for what, words in text.origin(table)
    ]
    sections.append("\n".join(f"- {what}: {words}" for what, words in facts))
    print_header, prints = text.fingerprints(table)
    prints = [[escape(row[0]), row[1], *(f"`{p}`" if p else text.MISSING for p in row[2:])] for row in prints]
    sections.append("## Fingerprints")
    sections.append(_pipes([escape(words) for words in print_header], prints, right=range(1, 2)))
    return "\n\n".join(sections) + "\n"


def _pipes(header: Sequence[str], rows: Sequence[Sequence[str]], right: range) -> str:
    rule = ["---:" if at in right else ":---" for at in range(len(header))]
    widths = [max(len(row[at]) for row in (header, rule, *rows)) for at in range(len(header))]

    def pad(words: str, at: int) -> str:
        return words.rjust(widths[at]) if at in right else words.ljust(widths[at])

    lines = [[pad(words, at) for at, words in enumerate(row)] for row in (header, *rows)]
    rules = [f"{'-' * (w - 1)}:" if at in right else f":{'-' * (w - 1)}" for at, w in enumerate(widths)]
    lines.insert(1, rules)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
