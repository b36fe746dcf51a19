"""The table in LaTeX: ``\\input`` it in a document that uses the packages booktabs and graphicx."""

from markupsafe import Markup

from mvcgc.tables import text
from mvcgc.tables.model import Table
from mvcgc.tables.templating import environment, render

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
    """Return plain words in LaTeX that prints them unchanged."""
    return "".join(_SIGNS.get(sign, sign) for sign in _one_line(words))


def _one_line(words: str) -> str:
    return " ".join(words.split())


_TEMPLATES = environment(
    block_start_string="<%",
    block_end_string="%>",
    variable_start_string="<<",
    variable_end_string=">>",
    comment_start_string="<#",
    comment_end_string="#>",
    finalize=lambda value: value if isinstance(value, Markup) else escape(str(value)),
)
"""Escapes every value but those marked ``safe``."""
_TEMPLATES.filters["one_line"] = _one_line


def to_latex(table: Table) -> str:
    """Return a ``table`` environment; origin and fingerprints are comments at its head."""
    header, prints = text.fingerprints(table)
    label = "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in table.sweep)
    return render(_TEMPLATES, "table.tex.j2", table, label=label, fingerprints=[header, *prints])
