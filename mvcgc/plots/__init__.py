"""Plots of a sweep, from its record, its table and its stage folders; written beside the table.

``sweep_data`` gathers what is finished, ``check`` refuses what cannot be drawn before anything runs, one
module per kind draws, ``style`` is how all of them look. matplotlib is imported once there is something
to draw.
"""

from mvcgc.plots.check import check_plots
from mvcgc.plots.write import Drawn, write_plots

__all__ = ["Drawn", "check_plots", "write_plots"]
