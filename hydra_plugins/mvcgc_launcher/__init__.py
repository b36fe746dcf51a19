"""Hydra finds launchers and sweepers only here; what they start lives in `mvcgc.sweep`.

Every start of any Hydra program imports these modules, so they import nothing heavy themselves.
"""

from hydra.core.utils import JobReturn, JobStatus


def raise_failure(result: JobReturn) -> None:
    """Raise what a failed job raised, without the line that Hydra prints then."""
    if result.status is JobStatus.FAILED:
        raise result._return_value
