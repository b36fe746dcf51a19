"""InfoNCE (paper, eq. 1): each view alone, its own pair the only positive."""

from mvcgc.method.base import Method


class InfoNCE(Method):
    """Stage 1 of every method; as a method of its own, stage 2 continues it."""

    version = 1
    name = "InfoNCE (continued)"
