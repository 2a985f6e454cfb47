"""Who gets which notice. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from autostream.config.sections.notify import NotifyTarget
from autostream.findings import Severity
from autostream.notices import Notice

_WORST_FIRST: Final = list(Severity)


def receivers_of(notice: Notice, targets: Iterable[NotifyTarget]) -> list[NotifyTarget]:
    """Return the targets that get a notice: those of which each condition holds, or is not made."""
    return [target for target in targets if gets(target, notice)]


def gets(target: NotifyTarget, notice: Notice) -> bool:
    """Say whether a target gets a notice."""
    return (
        (not target.teams or notice.team in target.teams)
        and (not target.owners or notice.owner in target.owners)
        and (not target.kinds or notice.kind in target.kinds)
        and _WORST_FIRST.index(notice.severity) <= _WORST_FIRST.index(target.min_severity)
    )
