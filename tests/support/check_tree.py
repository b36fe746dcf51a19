"""Refuse long modules, long functions and test modules of one name; run it from the root of the tree."""

import ast
import sys
from collections import Counter
from pathlib import Path

PACKAGES = ("mvcgc", "hydra_plugins")
MODULE, FUNCTION = 300, 60
"""Most lines."""


def main() -> int:
    """Print what is refused; return 1 if anything is."""
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
    # The tests are no packages: pytest imports them by name, and a second one of that name is an error.
    names = [path for path in sorted(Path("tests").rglob("*.py")) if path.name != "conftest.py"]
    counts = Counter(path.name for path in names)
    found += [f"{path}: another file of the tests has this name" for path in names if counts[path.name] > 1]
    print("\n".join(found), file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
