"""Hydra plugins: Hydra finds launchers and sweepers only here. They call `mvcgc.sweep`.

Every start of any Hydra program imports these modules, so they import nothing heavy at the top.
"""
