"""The journal of a stage: what rank 0 reports while it runs, one JSON line per record, one file per attempt.

Records are ``{"seq", "ts_ms", "kind", ...}`` with, by kind:

======== =====================================================================================
begin    ``attempt``, ``total_steps``, ``unit`` ("step", "video", ...), ``host``, ``pid``
params   ``params``: what names the run; values are strings, numbers, booleans
tags     ``tags``: what may change from attempt to attempt
metrics  ``step``, ``metrics``: figures after ``step`` completed steps; non-finite ones as strings
resume   ``from_step``: this attempt continues a checkpoint of that many completed steps
end      ``status`` ("done", "failed" or "interrupted"), ``reason``
======== =====================================================================================

Writing never stops training: what the disk refuses is kept and tried again, and said once on stderr.
Reading ignores a torn last line and folds the attempts so that each (step, metric) appears once: an attempt
that resumes from step n takes back what earlier ones reported after n, one that starts afresh takes back all.
"""

from mvcgc.runs.journal.reader import Folded, Point, Progress, Tail, read, records
from mvcgc.runs.journal.writer import JournalWriter, Status, attempts, path_of

__all__ = [
    "Folded",
    "JournalWriter",
    "Point",
    "Progress",
    "Status",
    "Tail",
    "attempts",
    "path_of",
    "read",
    "records",
]
