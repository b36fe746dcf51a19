"""Rows that stop after the initialisation."""

from mvcgc.method.base import Method


class InitOnly(Method):
    """Initialise each view alone with InfoNCE; there is no second stage."""

    version = 1
    label = "init"
    name = "Init."
    has_cross = False
