"""What is known of a job from elsewhere than its cluster: handed in by those who know it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JobFacts:
    """Facts of one job. None: nobody knows.

    Attributes:
        without_uid: Names of operators with state that have no uid: their state is lost when the job changes.
        without_retries: Iceberg tables that it writes to whose commits are not tried again.
        not_compacted: Iceberg tables that it upserts into, and that nobody compacts.
        needs_watermark: Whether somebody waits for its watermark, such as those who read its table.
    """

    without_uid: tuple[str, ...] | None = None
    without_retries: tuple[str, ...] | None = None
    not_compacted: tuple[str, ...] | None = None
    needs_watermark: bool | None = None


NO_FACTS = JobFacts()
"""Of a job of which nobody knows anything else."""
