"""What is said of a job: a finding with what it costs, what to change, and what that frees. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from autostream.findings import Finding, Severity

_ERROR_COST: Final = 40.0
_WARNING_COST: Final = 12.0


@dataclass(frozen=True)
class FreedResources:
    """What a change gives back.

    Attributes:
        cpu_cores: Cores.
        memory_bytes: Memory.
    """

    cpu_cores: float = 0.0
    memory_bytes: int = 0

    def to_dict(self) -> dict[str, float | int]:
        """Return it as JSON has it."""
        return {"cpu_cores": round(self.cpu_cores, 3), "memory_bytes": self.memory_bytes}


@dataclass(frozen=True)
class JobFinding(Finding):
    """One cause, with all that follows from it.

    Attributes:
        deduction: Points of the score that it costs.
        proposal: What to set, by name: `parallelism`, `task_managers`, ...; empty where nothing is to be resized.
        frees: What that frees.
    """

    deduction: float = 0.0
    proposal: Mapping[str, Any] = field(default_factory=dict)
    frees: FreedResources = FreedResources()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "id": self.id,
            "severity": self.severity.value,
            "deduction": plain_number(self.deduction),
            "figures": {name: plain_number(value) for name, value in self.figures.items()},
            "reason": self.reason,
            "fix": self.remedy,
            "proposal": dict(self.proposal),
            "frees": self.frees.to_dict(),
        }


def severity_of(deduction: float, *, is_waste: bool) -> Severity:
    """Return how bad a finding is that costs so much. Waste is no error: the job does its work."""
    if deduction >= _ERROR_COST and not is_waste:
        return Severity.ERROR
    return Severity.WARNING if deduction >= _WARNING_COST else Severity.INFO


def plain_number(value: float) -> float | int:
    """Return a figure as JSON has it: at most four digits after the point, and none where there are none."""
    rounded = round(value, 4)
    return int(rounded) if rounded == int(rounded) and abs(rounded) >= 2 else rounded
