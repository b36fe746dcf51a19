"""Stages: the units of work. ``python -m mvcgc.stages <folder>`` is one rank of one of them.

A stage reads nothing but its folder's ``config.yaml``, the manifest that this names, the videos, and its
parents' folders; it writes nothing outside its own folder. `mvcgc.stages.kind` says what a kind of stages is.
"""
