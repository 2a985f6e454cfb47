"""The steps of a compaction, its commits' included, at each of which it may die without harm (rule 9)."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from autostream.lake.commit.steps import SnapshotStep


class CompactionStep(StrEnum):
    """A point between two effects; tests kill the process at each."""

    PLANNED = "planned"
    GROUP_REWRITTEN = "group-rewritten"
    REWRITTEN = "rewritten"
    MANIFESTS_WRITTEN = SnapshotStep.MANIFESTS_WRITTEN.value
    MANIFEST_LIST_WRITTEN = SnapshotStep.MANIFEST_LIST_WRITTEN.value
    SWAP_PREPARED = SnapshotStep.SWAP_PREPARED.value
    SWAPPED = SnapshotStep.SWAPPED.value


CompactionObserver = Callable[[CompactionStep], None]


def ignore_compaction_step(_: CompactionStep) -> None:
    """Observe nothing."""
