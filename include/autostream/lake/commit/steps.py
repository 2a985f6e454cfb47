"""The steps of a compaction, at each of which it may die without harm (rule 9)."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """A point between two effects; tests kill the process at each."""

    PLANNED = "planned"
    GROUP_REWRITTEN = "group-rewritten"
    REWRITTEN = "rewritten"
    MANIFESTS_WRITTEN = "manifests-written"
    MANIFEST_LIST_WRITTEN = "manifest-list-written"
    SWAP_PREPARED = "swap-prepared"
    SWAPPED = "swapped"


StepObserver = Callable[[Step], None]


def no_observer(_: Step) -> None:
    """Observe nothing."""
