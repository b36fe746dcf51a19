"""Rows without any pre-training: given weights as they are, and untrained networks."""

from mvcgc.method.base import Method


class GivenOnly(Method):
    """Evaluate the weights of ``init.weights``; nothing is pre-trained."""

    version = 1
    label = "none"
    name = "Given weights"
    has_init = False
    has_cross = False


class Untrained(Method):
    """Evaluate networks of random weights, drawn by the seed: those that ``init`` stages start from."""

    version = 1
    label = "random"
    name = "Random weights"
    has_init = False
    has_cross = False
    untrained = True
