"""Pre-training stages: ``init/<view>`` and ``cross``."""
