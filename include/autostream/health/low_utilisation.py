"""Which jobs use too little of what they are allotted, by named rules: what audits of budgets go by. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autostream.config.sections.health import UtilisationRule
from autostream.health.job_view import JobView
from autostream.times import describe_length

DEFAULT_UTILISATION_RULES: Final = (
    UtilisationRule(name="low-cpu", resource="cpu", below=0.1),
    UtilisationRule(name="low-memory", resource="memory", below=0.2),
    UtilisationRule(name="idle-slots", resource="slots", below=0.5),
)
"""The rules that hold where none is configured: less than 10 % of CPU or 20 % of memory over seven days is how
aws-samples' eks-cost-intelligence finds idle nodes."""

_CALLED: Final = {"cpu": "cores", "memory": "heap and managed memory", "slots": "slots"}


@dataclass(frozen=True)
class Utilisation:
    """What a rule says of a job.

    Attributes:
        rule: The rule's name.
        low: Whether too little is used; None where that is not known.
        used: The share in use; None where it is not known.
        below: The share below which it is too little.
        coverage: The share of the rule's window that was measured.
        reason: The same in words.
    """

    rule: str
    low: bool | None
    used: float | None
    below: float
    coverage: float
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "rule": self.rule,
            "low": self.low,
            "used": None if self.used is None else round(self.used, 4),
            "below": self.below,
            "coverage": round(self.coverage, 4),
            "reason": self.reason,
        }


def utilisation_of(view: JobView, rules: Iterable[UtilisationRule]) -> tuple[Utilisation, ...]:
    """Return what each rule says of a job. Its window has to be as long as the rule's: each rule has one of its own."""
    return tuple(_judged(view, rule) for rule in rules)


def is_low(found: Sequence[Utilisation]) -> bool:
    """Say whether any rule finds that too little is used."""
    return any(one.low for one in found)


def _judged(view: JobView, rule: UtilisationRule) -> Utilisation:
    used = _used(view, rule.resource)
    coverage = min(1.0, view.window.covered_ms / 1000 / rule.window_seconds)
    window = describe_length(rule.window_seconds * 1000)
    if coverage < rule.least_coverage:
        why = (
            f"Samples since its last start cover {coverage:.0%} of {window}; the rule needs {rule.least_coverage:.0%}."
        )
        return Utilisation(rule.name, None, used, rule.below, coverage, why)
    if used is None:
        why = f"It is not known what it uses of its {_CALLED[rule.resource]}."
        return Utilisation(rule.name, None, None, rule.below, coverage, why)
    low = used < rule.below
    said = "less than" if low else "not less than"
    reason = f"It used {used:.1%} of its {_CALLED[rule.resource]} over {window}, {said} {rule.below:.0%}."
    return Utilisation(rule.name, low, used, rule.below, coverage, reason)


def _used(view: JobView, resource: str) -> float | None:
    if resource == "cpu":
        return view.cpu
    if resource == "slots":
        return view.share("slots_used", "slots")
    pools = [
        (used, size)
        for pool in ("heap", "managed")
        if (used := view.value(f"{pool}_used_bytes")) is not None and (size := view.value(f"{pool}_bytes")) is not None
    ]
    size = sum(size for _, size in pools)
    return sum(used for used, _ in pools) / size if len(pools) == 2 and size else None
