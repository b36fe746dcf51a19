"""``python -m mvcgc.stages FOLDER``: one rank of one stage."""

import sys

from mvcgc.stages.runner import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
