"""Tables within a page of one's own, such as ``results/README.md``: written by the program, never by hand.

Where the page says ``<!-- table demo/table2 -->`` and, on a later line, ``<!-- end -->``, what stands between
them is the table in ``demo/table2.md`` beside the page, with all that the file says but title and
fingerprints.
"""

import re
from pathlib import Path

from mvcgc.errors import UserError
from mvcgc.files import write_atomic

PAGE = "README.md"

_BLOCK = re.compile(r"(<!-- table (\S+) -->\n)((?:(?!<!-- table ).)*?)(<!-- end -->)", re.DOTALL)
_OPEN = re.compile(r"<!-- table (\S+) -->")


def refresh(out: Path) -> Path | None:
    """Bring the tables in ``out/README.md`` up to date; the page if that changed it.

    A table whose file does not exist stays as it is. Raises UserError for a marker without its end.
    """
    page = out / PAGE
    if not page.is_file():
        return None
    old = page.read_text()
    new = refreshed(old, out)
    if new == old:
        return None
    write_atomic(page, new)
    return page


def refreshed(page: str, out: Path) -> str:
    """The text of the page with the tables that lie in ``out``."""
    closed = [found[2] for found in _BLOCK.finditer(page)]
    for name in _OPEN.findall(page):
        if name not in closed:
            raise UserError(f"{out / PAGE}: <!-- table {name} --> has no <!-- end --> before the next table")

    def block(found: re.Match[str]) -> str:
        file = out / f"{found[2]}.md"
        return f"{found[1]}{_body(file.read_text())}\n{found[4]}" if file.is_file() else found[0]

    return _BLOCK.sub(block, page)


def _body(markdown: str) -> str:
    return re.sub(r"\A# .*\n", "", markdown).partition("\n## Fingerprints")[0].strip()
