"""The states that Flink's jobs may be in."""

from __future__ import annotations

from typing import Final

JOB_STATES: Final = (
    "INITIALIZING",
    "CREATED",
    "RUNNING",
    "RESTARTING",
    "FAILING",
    "CANCELLING",
    "RECONCILING",
    "SUSPENDED",
    "FAILED",
    "CANCELED",
    "FINISHED",
)
"""All that there are, in versions 1.18 to 2.3."""

ENDED_STATES: Final = frozenset({"FAILED", "CANCELED", "FINISHED"})
"""States of jobs that will never run again."""
