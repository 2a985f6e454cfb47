"""The steps of a commit, at each of which it may die without harm (rule 9)."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class SnapshotStep(StrEnum):
    """A point between two effects; tests kill the process at each."""

    MANIFESTS_WRITTEN = "manifests-written"
    MANIFEST_LIST_WRITTEN = "manifest-list-written"
    SWAP_PREPARED = "swap-prepared"
    SWAPPED = "swapped"


SnapshotObserver = Callable[[SnapshotStep], None]


def ignore_snapshot_step(_: SnapshotStep) -> None:
    """Observe nothing."""
