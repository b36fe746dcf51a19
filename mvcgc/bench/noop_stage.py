"""A stage that does nothing but finish: ``python -m mvcgc.bench.noop_stage FOLDER``."""

import sys
from pathlib import Path

from mvcgc.runs.folder import StageFolder


def main(folder: StageFolder) -> None:
    """Leave one output and DONE.json."""
    (folder.path / "nothing.txt").write_text("nothing\n")
    folder.write_done([Path("nothing.txt")], {})


if __name__ == "__main__":
    main(StageFolder(Path(sys.argv[1])))
