"""The table as one HTML file that needs nothing else: light and dark, with every seed as a dot."""

from html import escape

from mvcgc.tables import text
from mvcgc.tables.model import Cell, Line, Table

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1d21; --soft: #5c6570; --rule: #d5dae0; --paper: #fff;
  --tint: #f4f6f8; --accent: #0b6bcb; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4b0; --rule: #3a424c;
  --paper: #15181c; --tint: #1e2329; --accent: #6cb2ff; --bad: #ff8a80; } }
body { margin: 2rem auto; padding: 0 1.5rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
.main { border-top: 2px solid var(--ink); border-bottom: 2px solid var(--ink); }
th, td { padding: .4rem .75rem; text-align: right; vertical-align: baseline; }
th { font-weight: 600; }
th:first-child { text-align: left; position: sticky; left: 0; background: inherit; }
thead, tbody tr { background: var(--paper); }
thead tr { background: inherit; }
thead th { border-bottom: 1px solid var(--ink); }
thead tr.groups th { border-bottom: 1px solid var(--rule); text-align: center; }
thead tr.groups th:empty { border: 0; }
thead tr.parts th { font-weight: 400; color: var(--soft); }
tbody th { font-weight: 500; }
tbody tr:nth-child(even) { background: var(--tint); }
td.figure { padding-left: 1.5rem; }
td.figure strong { color: var(--accent); }
td.difference, td.paper, td.seeds { color: var(--soft); }
tr.literature th { font-weight: 400; font-style: italic; }
tbody.cited { border-top: 1px solid var(--ink); }
.state { color: var(--soft); font-style: italic; }
.failed, .damaged { color: var(--bad); }
svg { display: block; margin: .1rem 0 0 auto; }
svg line { stroke: var(--rule); }
svg circle { fill: var(--accent); fill-opacity: .55; }
.legend { color: var(--soft); font-size: .9rem; max-width: 60rem; }
.notes { font-size: .95rem; padding-left: 1.2rem; max-width: 60rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font: .92em/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
details { font-size: .9rem; } summary { cursor: pointer; color: var(--soft); }
details table { margin-top: .5rem; } details th, details td { padding: .15rem .75rem; text-align: left; }
"""
_STRIP_WIDTH, _STRIP_HEIGHT, _DOT = 96, 10, 3


def to_html(table: Table) -> str:
    """The whole page."""
    parts, _ = text.grid(table)
    ours = [_row(table, line, parts) for line in table.lines if not line.literature]
    cited = [_row(table, line, parts) for line in table.lines if line.literature]
    body = f"<tbody>\n{''.join(ours)}</tbody>\n"
    if cited:
        body += f'<tbody class="cited">\n{"".join(cited)}</tbody>\n'
    notes = "".join(f"<li>{escape(text.note(note))}</li>\n" for note in table.notes)
    title = escape(table.title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<div class="scroll"><table class="main">\n{_head(table, parts)}{body}</table></div>\n'
        f'<p class="legend">{escape(_legend(table))}</p>\n'
        + (f'<ul class="notes">\n{notes}</ul>\n' if notes else "")
        + _origin(table)
        + _fingerprints(table)
        + "</body>\n</html>\n"
    )


def _head(table: Table, parts: list[tuple[int, str]]) -> str:
    groups = ""
    for index, column in enumerate(table.columns):
        width = sum(at == index for at, _ in parts)
        groups += f'<th colspan="{width}" scope="colgroup">{escape(column.label)}</th>'
    words = {"figure": "ours", "difference": "Δ", "paper": "paper"}
    names = "".join(f'<th scope="col">{words[what]}</th>' for _, what in parts)
    return (
        f'<thead>\n<tr class="groups"><th></th><th></th>{groups}</tr>\n'
        f'<tr class="parts"><th></th><th scope="col">seeds</th>{names}</tr>\n</thead>\n'
    )


def _row(table: Table, line: Line, parts: list[tuple[int, str]]) -> str:
    cells = []
    for (column, what), words in zip(parts, text.cell_texts(table, line, parts), strict=True):
        content = escape(words)
        if what == "figure":
            content = _figure(line.cells[column], content) + _strip(table, column, line.cells[column])
        cells.append(f'<td class="{what}">{content}</td>')
    kind = ' class="literature"' if line.literature else ""
    name, seeds = escape(text.name(line)), text.seeds(line)
    return f'<tr{kind}><th scope="row">{name}</th><td class="seeds">{seeds}</td>{"".join(cells)}</tr>\n'


def _figure(cell: Cell, content: str) -> str:
    if cell.trials and cell.mean is None:
        return f'<span class="state {text.state_word(cell)}">{content}</span>'
    return f"<strong>{content}</strong>" if cell.best else content


def _strip(table: Table, column: int, cell: Cell) -> str:
    """Every seed's figure as a dot, on one axis for the whole column; nothing for a single seed."""
    figures = [f for line in table.lines for f in line.cells[column].values if abs(f) < float("inf")]
    low, high = min(figures, default=0.0), max(figures, default=0.0)
    if len(cell.values) < 2 or low == high or not set(cell.values) <= set(figures):
        return ""
    middle = _STRIP_HEIGHT / 2
    width = _STRIP_WIDTH - 2 * _DOT
    dots = "".join(
        f'<circle cx="{_DOT + width * (value - low) / (high - low):.1f}" cy="{middle:g}" r="{_DOT}"/>'
        for value in cell.values
    )
    digits = text.decimals(table, column, cell.values)
    told = ", ".join(
        f"seed {trial.seed}: {text.number(trial.value, digits)}"
        for trial in cell.trials
        if trial.value is not None
    )
    return (
        f'<svg width="{_STRIP_WIDTH}" height="{_STRIP_HEIGHT}" role="img" aria-label="{told}">'
        f'<title>{told}</title><line x1="0" x2="{_STRIP_WIDTH}" y1="{middle:g}" y2="{middle:g}"/>{dots}</svg>'
    )


def _legend(table: Table) -> str:
    several = any(len(cell.values) > 1 for line in table.lines for cell in line.cells)
    dots = " A dot is one seed's figure, on one axis for the column." if several else ""
    return text.legend(table) + dots


def _origin(table: Table) -> str:
    entries = ""
    for what, words in text.origin(table):
        content = f"<code>{escape(words)}</code>" if what in ("Command", "Commit", "Data") else escape(words)
        entries += f"<dt>{what}</dt><dd>{content}</dd>\n"
    return f"<dl>\n{entries}</dl>\n"


def _fingerprints(table: Table) -> str:
    header, rows = text.fingerprints(table)
    head = "".join(f'<th scope="col">{escape(words)}</th>' for words in header)
    body = ""
    for name, seed, *prints in rows:
        codes = "".join(f"<td><code>{escape(p) or text.MISSING}</code></td>" for p in prints)
        body += f'<tr><th scope="row">{escape(name)}</th><td>{seed}</td>{codes}</tr>\n'
    return (
        "<details>\n<summary>Fingerprints of the stages behind the figures</summary>\n"
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>\n"
        "</details>\n"
    )
