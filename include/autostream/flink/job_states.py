"""The states that Flink's jobs may be in, and those of what Flink's Kubernetes operator deploys."""

from __future__ import annotations

from typing import Final

INITIALIZING: Final = "INITIALIZING"
"""State of a job whose job manager does not know its plan yet."""
JOB_STATES: Final = (
    INITIALIZING,
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

UNKNOWN: Final = "UNKNOWN"
"""State of a job of which Kubernetes says nothing."""
DEPLOYMENT_STATES: Final = (
    "CREATED",
    "SUSPENDED",
    "UPGRADING",
    "DEPLOYED",
    "STABLE",
    "ROLLING_BACK",
    "ROLLED_BACK",
    "FAILED",
    "DELETING",
    "DELETED",
    UNKNOWN,
)
"""States of what is deployed; those of a job that no job manager runs."""
