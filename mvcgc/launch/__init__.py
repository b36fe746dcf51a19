"""Launching: acts on a plan. ``local`` runs a graph's stages on this machine, ``slurm`` as jobs of a cluster.

What runs on a job's first machine imports this package to say a few words: it holds nothing heavy itself.
"""

from mvcgc.launch.slurm.liveness import is_over
from mvcgc.runs.lock import Jobs

Jobs.is_over = staticmethod(is_over)
