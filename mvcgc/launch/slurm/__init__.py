"""Launching on SLURM: one job per stage.

Where it is submitted: ``execute`` submits a graph and follows it (``followed``), ``submit`` hands a stage
and its lock to a job, ``request`` says what is submitted, ``snapshot`` copies the code, ``queue`` asks and
tells the cluster, ``liveness`` knows whether the job behind a lock has ended.

Where it runs: ``batch`` has the first and the last word on a job's first machine (``epilogue`` decides what
it says), ``job`` is one rank.
"""
