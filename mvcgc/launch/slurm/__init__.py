"""Launching on SLURM: one job per stage.

On the submitting machine: ``execute`` submits a graph and follows its jobs (``tracked_job``), ``submit``
hands a stage and its lock to a job, ``batch_script`` writes the job's script, ``snapshot`` copies the code,
``queue`` calls SLURM's commands, ``liveness`` knows whether the job behind a lock has ended.

On the job's machines: ``job_hooks`` runs before and after the ranks (``requeue_policy`` decides whether the
job is requeued), ``rank`` is one rank.
"""
