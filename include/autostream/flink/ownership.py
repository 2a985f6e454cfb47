"""Whose a job is: what it says itself, what its labels say, what the rules of the configuration say. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from autostream.config.sections.flink import JobRule
from autostream.names import JobName

TEAM: Final = "autostream.team"
"""Job parameter, and label in Kubernetes: the team whose a job is."""
OWNER: Final = "autostream.owner"
"""Job parameter, and label in Kubernetes: who answers for a job."""


@dataclass(frozen=True)
class Ownership:
    """Whose a job is. None: nobody said.

    Attributes:
        team: The team that runs it, and whose budget it uses.
        owner: Who answers for it: a name, an address, a chat group.
    """

    team: str | None = None
    owner: str | None = None


def ownership_of(
    job: JobName,
    *,
    parameters: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    rules: Iterable[JobRule] = (),
) -> Ownership:
    """Return whose a job is. Team and owner are looked for each on its own, and the first that says it counts.

    Args:
        job: Its name.
        parameters: Its own parameters (`/jobs/:id/config`).
        labels: Labels of its deployment in Kubernetes.
        rules: Those of the configuration, in their order.
    """
    said = [parameters or {}, labels or {}]
    for rule in rules:
        if match := re.fullmatch(rule.job, str(job), re.DOTALL):
            said.append({TEAM: _filled(rule.team, match), OWNER: _filled(rule.owner, match)})
    return Ownership(team=_first(TEAM, said), owner=_first(OWNER, said))


def _first(key: str, said: Iterable[Mapping[str, str]]) -> str | None:
    return next((text for words in said if (text := words.get(key, "").strip())), None)


def _filled(template: str, match: re.Match[str]) -> str:
    return re.sub(r"\{(.*?)\}", lambda name: match[name[1]] or "", template)
