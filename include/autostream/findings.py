"""What was found out about something, and what to do about it: the one form of advice, checks and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is, the worst first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    OK = "ok"


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        subject: What it is about, such as `table lake.db.orders` or `zookeeper`.
        severity: How bad it is.
        reason: What was found, in sentences.
        remedy: What to do about it, in sentences; empty where there is nothing to do, or `reason` says it.
        id: What kind of finding it is, for programs; empty where it is of no kind.
        figures: Numbers that it was concluded from, by their names.
    """

    subject: str
    severity: Severity
    reason: str
    remedy: str = ""
    id: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return what was found and what to do, in sentences."""
        return f"{self.reason} {self.remedy}" if self.remedy else self.reason

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, without what it does not have."""
        document: dict[str, Any] = {"subject": self.subject, "severity": self.severity.value, "reason": self.reason}
        if self.id:
            document["id"] = self.id
        if self.remedy:
            document["remedy"] = self.remedy
        if self.figures:
            document["figures"] = dict(self.figures)
        return document


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order in which people want to read them; of one severity by subject, then as they came."""
    order = list(Severity)
    return sorted(findings, key=lambda finding: (order.index(finding.severity), finding.subject))
