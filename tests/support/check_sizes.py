"""Refuse modules over 300 lines and functions over 60; run it from the root of the tree."""

import ast
import sys
from pathlib import Path

PACKAGES = ("mvcgc", "hydra_plugins")
MODULE, FUNCTION = 300, 60
"""Most lines."""


def main() -> int:
    """Print what is too long; return 1 if anything is."""
    found = []
    for path in sorted(path for package in PACKAGES for path in Path(package).rglob("*.py")):
        text = path.read_text()
        if (lines := text.count("\n")) > MODULE:
            found.append(f"{path}: {lines} lines, {MODULE} at most")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION:
                    found.append(f"{path}:{node.lineno}: {node.name} has {lines} lines, {FUNCTION} at most")
    print("\n".join(found), file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
