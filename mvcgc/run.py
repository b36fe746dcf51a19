"""``python -m mvcgc.run``: one row, or with ``-m`` a sweep, from video files to the comparison table."""

import os
import sys

import hydra

from hydra_plugins.mvcgc_launcher.single import run_single
from mvcgc.config import CONFIG_MODULE, CONFIG_NAME
from mvcgc.console import exit_code_of


def main() -> int:
    """Run with the arguments of the command line; returns the exit code.

    0: all is done. 1: a stage failed, the others are finished and in the table. 2: what was asked cannot
    work, said in one line. 128 + n: stopped by signal n.
    """
    # Hydra would print its errors in several lines and exit with 1; raised, they become our one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    return exit_code_of(hydra.main(f"pkg://{CONFIG_MODULE}", CONFIG_NAME, version_base="1.3")(run_single))


if __name__ == "__main__":
    sys.exit(main())
