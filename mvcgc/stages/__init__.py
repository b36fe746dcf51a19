"""Stages: the units of work. ``python -m mvcgc.stages <folder>`` is one rank of one of them.

A stage reads nothing but its folder's ``config.yaml``, the manifest that this names, the videos, and its
parents' folders; it writes nothing outside its own folder.
"""

# Part of the fingerprint. Raise a kind's number when its code gives other results for the same specification.
CODE_VERSION: dict[str, int] = {"pretrain": 6, "evaluate": 6, "efficiency": 3, "activation": 2}
