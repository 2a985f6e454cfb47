"""When a request is made again, where, and after which pause. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from autostream.backoff import Backoff
from autostream.hadoop.answers import Trouble

PAUSES: Final = Backoff(first_seconds=0.5, cap_seconds=8.0, jitter=(0.5, 1.0))
"""Pauses between the rounds in which all servers are tried."""


@dataclass(frozen=True)
class Again:
    """Make the request again, at the next server of the list, after a pause."""

    pause_seconds: float


def decide(
    trouble: Trouble,
    *,
    failures: int,
    servers: int,
    retries: int,
    repeatable: bool,
    chance: Callable[[], float] = random.random,
) -> Again | None:
    """Whether to make a request again; None: give up.

    All servers are tried one after the other without a pause; then a pause, twice as long each time, and again. The
    next server is always another one: it may be the active one, and the failed one may only seem alive.

    Args:
        trouble: what became of the last try.
        failures: tries so far, this one included.
        servers: how many there are.
        retries: how often the whole list is tried again.
        repeatable: doing it twice is doing it once. Where it is not, a lost answer ends it.
        chance: random numbers of [0, 1): not all clients come back at once.
    """
    if trouble is Trouble.LOST and not repeatable:
        return None
    if failures >= servers * (1 if trouble is Trouble.FOREIGN else retries + 1):
        return None
    # A server that is busy will be so when asked again at once; another one may not.
    rounds, rest = divmod(failures, servers)
    return Again(0.0) if rest else Again(PAUSES.seconds(rounds, chance=chance))
