"""Which of several collectors looks at which cluster. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def chosen_collector(cluster: str, candidates: Iterable[str]) -> str | None:
    """Return the collector that looks at a cluster: all collectors come to the same answer, and share clusters evenly.

    When a collector comes or goes, only the clusters change hands that it gets or had (rendezvous hashing: Thaler and
    Ravishankar, "Using name-based mappings to increase hit rates", 1998).

    Args:
        cluster: The cluster.
        candidates: The collectors that can look at it now; None is returned where there are none.
    """
    return max(candidates, key=lambda candidate: _weight(cluster, candidate), default=None)


def _weight(cluster: str, candidate: str) -> bytes:
    return hashlib.sha256(f"{cluster}\n{candidate}".encode()).digest()
