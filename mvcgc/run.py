"""``python -m mvcgc.run``: one row, or with ``-m`` a sweep, from video files to the comparison table."""

import argparse
import gc
import os
import sys

import hydra

from hydra_plugins.mvcgc_launcher.single import run_single
from mvcgc.config import CONFIG_MODULE, CONFIG_NAME, HYDRA_DEFAULTS, composer
from mvcgc.exit_codes import exit_code_of

# A plan's objects, of which there may be millions, live to its end: to look among them again and again for
# what could be freed took a quarter of its time. By default every tenth younger collection looks at all.
YOUNGER_COLLECTIONS = 1000


def main() -> int:
    """Run with the arguments of the command line; returns the exit code.

    0: all is done. 1: a stage failed, the others are finished and in the table. 2: what was asked cannot
    work, said in one line. 128 + n: stopped by signal n.
    """
    if "--cfg" in sys.argv:
        return exit_code_of(_show_configuration)
    # Hydra would print its errors in several lines and exit with 1; raised, they become our one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, YOUNGER_COLLECTIONS)
    return exit_code_of(hydra.main(f"pkg://{CONFIG_MODULE}", CONFIG_NAME, **HYDRA_DEFAULTS)(run_single))


def _show_configuration() -> None:
    """Print every key with the value that holds: Hydra knows those that stand in files, not a class's."""
    parser = argparse.ArgumentParser(prog="python -m mvcgc.run")
    parser.add_argument("--cfg", choices=["job"], required=True, help="print the configuration")
    parser.add_argument("overrides", nargs="*")
    parsed = parser.parse_args()
    with composer() as own:
        print(own.text(parsed.overrides), end="")


if __name__ == "__main__":
    sys.exit(main())
