"""How often and how long commits are tried and asked after: Iceberg's own ``commit.*`` table properties."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from autostream.errors import ConfigurationError


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long a commit is tried, and its outcome asked after: the table's ``commit.*`` properties."""

    retries: int = 4
    min_wait_ms: int = 100
    max_wait_ms: int = 60_000
    total_timeout_ms: int = 1_800_000
    status_retries: int = 3
    status_min_wait_ms: int = 1_000
    status_max_wait_ms: int = 60_000
    status_total_timeout_ms: int = 1_800_000

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> RetryPolicy:
        """Return the policy of a table.

        Raises:
            ConfigurationError: a value is no whole number, or below 0.
        """
        names = {
            "retries": "commit.retry.num-retries",
            "min_wait_ms": "commit.retry.min-wait-ms",
            "max_wait_ms": "commit.retry.max-wait-ms",
            "total_timeout_ms": "commit.retry.total-timeout-ms",
            "status_retries": "commit.status-check.num-retries",
            "status_min_wait_ms": "commit.status-check.min-wait-ms",
            "status_max_wait_ms": "commit.status-check.max-wait-ms",
            "status_total_timeout_ms": "commit.status-check.total-timeout-ms",
        }
        values = {}
        for attribute, key in names.items():
            if key in properties:
                text = properties[key]
                if not text.strip().isdigit():
                    raise ConfigurationError(f"Table property {key} is {text!r}: it must be a whole number, 0 or more.")
                values[attribute] = int(text)
        return cls(**values)

    def wait_seconds(self, attempt: int) -> float:
        """Return how long to wait after an attempt (from 0), with jitter so that writers do not meet again."""
        wait = min(self.min_wait_ms * 2**attempt, self.max_wait_ms)
        return float(wait + random.uniform(0, 0.1 * wait)) / 1000

    def status_wait_seconds(self, attempt: int) -> float:
        """Return how long to wait before asking for the outcome again."""
        return float(min(self.status_min_wait_ms * 2**attempt, self.status_max_wait_ms)) / 1000
