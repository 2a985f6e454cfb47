"""How often and how long commits are tried and asked after: Iceberg's own `commit.*` table properties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from autostream.backoff import Backoff
from autostream.properties import Properties

_JITTER: Final = (1.0, 1.1)
"""So that writers that met once do not meet again."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long a commit is tried, and its outcome asked after: the table's `commit.*` properties."""

    retries: int = 4
    min_wait_ms: int = 100
    max_wait_ms: int = 60_000
    total_timeout_ms: int = 1_800_000
    status_retries: int = 3
    status_min_wait_ms: int = 1_000
    status_max_wait_ms: int = 60_000
    status_total_timeout_ms: int = 1_800_000

    @classmethod
    def from_properties(cls, properties: Properties) -> RetryPolicy:
        """Return the policy of a table.

        Raises:
            ConfigurationError: a value is not a whole number, or below 0.
        """

        def value(key: str, default: int) -> int:
            return properties.whole(key, default, minimum=0)

        return cls(
            retries=value("commit.retry.num-retries", cls.retries),
            min_wait_ms=value("commit.retry.min-wait-ms", cls.min_wait_ms),
            max_wait_ms=value("commit.retry.max-wait-ms", cls.max_wait_ms),
            total_timeout_ms=value("commit.retry.total-timeout-ms", cls.total_timeout_ms),
            status_retries=value("commit.status-check.num-retries", cls.status_retries),
            status_min_wait_ms=value("commit.status-check.min-wait-ms", cls.status_min_wait_ms),
            status_max_wait_ms=value("commit.status-check.max-wait-ms", cls.status_max_wait_ms),
            status_total_timeout_ms=value("commit.status-check.total-timeout-ms", cls.status_total_timeout_ms),
        )

    def attempts(self, *, at_least: int = 1) -> Iterator[int]:
        """Yield the numbers of the attempts of a commit, from 1, each but the first after a pause.

        Args:
            at_least: how many attempts it takes; fewer retries than that are not what the table means.
        """
        waits = Backoff(self.min_wait_ms / 1000, self.max_wait_ms / 1000, jitter=_JITTER)
        retries = max(self.retries, at_least - 1)
        return waits.attempts(retries=retries, budget_seconds=self.total_timeout_ms / 1000)

    def status_checks(self) -> Iterator[int]:
        """Yield the numbers of the looks at what became of a commit, from 1, each but the first after a pause."""
        waits = Backoff(self.status_min_wait_ms / 1000, self.status_max_wait_ms / 1000)
        return waits.attempts(retries=self.status_retries, budget_seconds=self.status_total_timeout_ms / 1000)
