"""Launching on this machine: ``execute`` runs a graph's stages as processes.

``machine`` hands out cores and GPUs, ``attempt`` is one attempt at a stage, ``processes`` its ranks, each
started through `mvcgc.die_with_parent`.
"""
