"""Launching: acts on a plan. ``local`` runs a graph's stages on this machine, ``slurm`` as jobs of a cluster.

The hooks of a job's batch script import this package: it holds nothing heavy itself.
"""

from mvcgc.launch.slurm.liveness import is_over
from mvcgc.runs.lock import Jobs

Jobs.is_over = staticmethod(is_over)
