"""``python -m mvcgc.run``: one row, or with ``-m`` a sweep, from video files to the comparison table."""

import gc
import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig

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
    task = _show_configuration if _take_out_cfg(sys.argv) else run_single
    # Hydra would print its errors in several lines and exit with 1; raised, they become our one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, YOUNGER_COLLECTIONS)
    return exit_code_of(hydra.main(f"pkg://{CONFIG_MODULE}", CONFIG_NAME, **HYDRA_DEFAULTS)(task))


def _take_out_cfg(arguments: list[str]) -> bool:
    """Remove ``--cfg job``; return whether it was there.

    Hydra's own knows no keys but those in files: not those of the classes of parts. Its other sorts are
    Hydra's matter, and so is to refuse it with ``-m``.
    """
    if {"-m", "--multirun"} & {*arguments}:
        return False
    for number in range(len(arguments)):
        for words in (["--cfg", "job"], ["-c", "job"], ["--cfg=job"]):
            if arguments[number : number + len(words)] == words:
                del arguments[number : number + len(words)]
                # Hydra's word for what we always do.
                arguments[:] = [word for word in arguments if word != "--resolve"]
                return True
    return False


def _show_configuration(_: object) -> None:
    """Run as Hydra's task: print every key with the value that holds."""
    overrides = list(HydraConfig.get().overrides.task)
    sys.exit(exit_code_of(lambda: _print_configuration(overrides)))


def _print_configuration(overrides: list[str]) -> None:
    with composer() as own:
        print(own.text(overrides), end="")


if __name__ == "__main__":
    sys.exit(main())
