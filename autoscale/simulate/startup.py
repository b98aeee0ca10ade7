"""How long a new replica takes from its scheduling to its first request: node, image, weights, warm-up in one draw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ColdStart:
    """Lognormal around a median."""

    median_seconds: float = 180.0
    sigma: float = 0.15

    def __post_init__(self) -> None:
        if self.median_seconds < 0 or self.sigma < 0:
            raise ValueError(f"cold start: median_seconds {self.median_seconds:g}, sigma {self.sigma:g}: not below 0")

    def draw(self, rng: np.random.Generator) -> float:
        return self.median_seconds * math.exp(self.sigma * rng.standard_normal())

    @property
    def slow_seconds(self) -> float:
        """What 39 of 40 starts do not exceed."""
        return self.median_seconds * math.exp(2 * self.sigma)
