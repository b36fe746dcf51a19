"""Metrics of one's own: numbers made of the class probabilities of the test videos."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from mvcgc.parts import Part, PartConfig


@dataclass
class MetricConfig(PartConfig):
    """Settings of a metric."""

    part: ClassVar[type["Metric"]]


class Metric(Part, ABC):
    """A metric of classification, reported beside top-1 and top-5 by every task that classifies.

    The key below ``downstream.metrics`` is its name; it is reported as ``<name>_<view>``.

    Attributes:
        better: "higher" or "lower".
    """

    Config: ClassVar[type[MetricConfig]] = MetricConfig
    better: ClassVar[str] = "higher"

    def __init__(self, config: MetricConfig) -> None:
        self.config = config

    @abstractmethod
    def __call__(self, scores: Float[Tensor, "V classes"], labels: Int[Tensor, " V"]) -> float:
        """Return the metric of class probabilities of V videos and their classes."""
