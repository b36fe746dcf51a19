"""From journals to MLflow: the only package that speaks to it, and never from a process that trains.

Importing this package does not import MLflow; only a pass or the UI does. MLflow is a view of what lies on
disk: `collect` brings it up to date, ``rebuild`` makes it anew.
"""

from mvcgc.collect.config import CollectError, TrackingConfig
from mvcgc.collect.follow import collect, watch
from mvcgc.collect.server import ui

__all__ = ["CollectError", "TrackingConfig", "collect", "ui", "watch"]
