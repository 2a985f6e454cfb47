"""Values of metrics, as numbers. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Aggregate:
    """One metric of all subtasks of a vertex that have it.

    Attributes:
        smallest: The smallest value.
        largest: The largest one.
        mean: Their mean.
        total: Their sum.
    """

    smallest: float
    largest: float
    mean: float
    total: float


def number_of(value: str | float | None) -> float | None:
    """Return a metric as a number; None for NaN, infinity, and what is no number."""
    try:
        number = float(value) if value is not None else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
