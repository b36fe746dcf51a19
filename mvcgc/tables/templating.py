"""Jinja2 environments of the table's formats; the templates lie in ``mvcgc/tables/templates``."""

from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mvcgc.tables import text
from mvcgc.tables.model import Line, Table


def environment(**options: Any) -> Environment:
    """Return an environment in which tags leave no blank lines and an unknown name is an error."""
    return Environment(
        loader=PackageLoader("mvcgc.tables"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        **options,
    )


def render(templates: Environment, name: str, table: Table, **context: Any) -> str:
    """Fill in the template ``name``.

    It sees the ``table``, `mvcgc.tables.text`, its printed columns as ``parts`` and ``groups``, and
    ``cells(line)``: (column, what, words) for each printed column.
    """
    parts, _ = text.grid(table)

    def cells(line: Line) -> Iterator[tuple[int, str, str]]:
        for (column, what), words in zip(parts, text.cell_texts(table, line, parts), strict=True):
            yield column, what, words

    groups = text.groups(table, parts)
    template = templates.get_template(name)
    return template.render(context, table=table, text=text, parts=parts, groups=groups, cells=cells)
