"""The table in LaTeX: ``\\input`` it in a document that uses the packages booktabs and graphicx."""

from mvcgc.tables import text
from mvcgc.tables.model import Line, Table

_SIGNS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    text.MINUS: "$-$",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\rightarrow$",
    text.LITERATURE: r"\dag{}",
    text.MISSING: "--",
    "—": "---",
    "·": r"$\cdot$",
    "…": r"\dots{}",
    "’": "'",
}


def escape(words: str) -> str:
    """Plain words, such that LaTeX prints them as they are."""
    return "".join(_SIGNS.get(sign, sign) for sign in " ".join(words.split()))


def to_latex(table: Table) -> str:
    """A ``table`` environment; origin and fingerprints are comments at its head."""
    parts, _ = text.grid(table)
    lines = [f"% {what}: {' '.join(words.split())}" for what, words in text.origin(table)]
    header, prints = text.fingerprints(table)
    lines += [f"% {' | '.join(' '.join(cell.split()) for cell in row)}" for row in (header, *prints)]
    lines += [
        r"\begin{table}[t]",
        r"  \centering",
        r"  \setlength{\belowcaptionskip}{6pt}",
        rf"  \caption{{{escape(f'{table.title}, scale {table.scale}.')}}}",
        rf"  \label{{tab:{''.join(c if c.isalnum() and c.isascii() else '-' for c in table.sweep)}}}",
        r"  \small",
        r"  \setlength{\tabcolsep}{4pt}",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"  \begin{{tabular}}{{lr{'r' * len(parts)}}}",
        r"    \toprule",
        *_headings(table, parts),
        r"    \midrule",
    ]
    for above, line in zip((None, *table.lines), table.lines, strict=False):
        if above is not None and line.literature and not above.literature:
            lines.append(r"    \midrule")
        lines.append(f"    {_row(table, line, parts)}")
    remarks = [text.legend(table), *map(text.note, table.notes)]
    lines += [r"    \bottomrule", r"  \end{tabular}}", r"  \par\medskip", r"  \begin{minipage}{\linewidth}"]
    lines += [r"    \footnotesize\raggedright", *(rf"    {escape(remark)}\par" for remark in remarks)]
    lines += [r"  \end{minipage}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _headings(table: Table, parts: list[tuple[int, str]]) -> list[str]:
    groups, rules, names = [" ", " "], [], [" ", "seeds"]
    at = 3
    for index, column in enumerate(table.columns):
        width = sum(column_index == index for column_index, _ in parts)
        groups.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(column.label)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    names += [{"figure": "ours", "difference": r"$\Delta$", "paper": "paper"}[what] for _, what in parts]
    return [rf"    {' & '.join(groups)} \\", f"    {' '.join(rules)}", rf"    {' & '.join(names)} \\"]


def _row(table: Table, line: Line, parts: list[tuple[int, str]]) -> str:
    cells = [escape(words) for words in text.cell_texts(table, line, parts)]
    for at, (column, what) in enumerate(parts):
        if what == "figure" and line.cells[column].best:
            cells[at] = rf"\textbf{{{cells[at]}}}"
    # A row that begins with "[" would be taken for the length that "\\" takes.
    name = escape(text.name(line))
    return rf"{{{name}}} & {text.seeds(line)} & {' & '.join(cells)} \\"
