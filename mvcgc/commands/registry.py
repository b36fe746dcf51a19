"""All verbs of the ``mvcgc`` program, in the order of its help."""

from mvcgc.commands import (
    bench,
    cancel,
    collect,
    completion,
    datasets,
    encoders,
    logs,
    run,
    status,
    tables,
)

VERBS = (
    run.RUN,
    run.PLAN,
    status.VERB,
    logs.VERB,
    cancel.VERB,
    tables.VERB,
    collect.VERB,
    collect.UI,
    encoders.EXPORT,
    encoders.IMPORT,
    datasets.VERB,
    bench.VERB,
    completion.VERB,
)
