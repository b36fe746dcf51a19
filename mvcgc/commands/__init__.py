"""Looking after sweeps that have been started: from the sweeps' records and the stages' folders.

Where SLURM can be asked, it adds what only it knows: on which nodes a job runs and why another one waits.
"""

from mvcgc.commands.cancel import cancel
from mvcgc.commands.logs import print_logs
from mvcgc.commands.lookup import find_stage, find_sweep, newest_of_each
from mvcgc.commands.status import status, watch

__all__ = ["cancel", "find_stage", "find_sweep", "newest_of_each", "print_logs", "status", "watch"]
