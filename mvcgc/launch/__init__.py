"""Launching: acts on a plan. ``local`` runs a graph's stages on this machine."""

from mvcgc.launch.local import execute
from mvcgc.launch.machine import Machine
from mvcgc.launch.report import Failure, Report
from mvcgc.launch.views import BarView, LineView, View, make_view

__all__ = ["BarView", "Failure", "LineView", "Machine", "Report", "View", "execute", "make_view"]
