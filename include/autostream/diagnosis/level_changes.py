"""Changed log levels of one cluster, folded from its journal. Pure.

The journal has the configuration as it was before the first change (`baseline`), and each change and reset *before* it
is carried out. What the configuration must be follows from it at any time: the baseline with the changes that are
active. After a crash it is either that, or what it was before the last entry: then the last step was journalled and
not taken, and is taken now. Anything else has been written by others, and is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from autostream.diagnosis.log4j_text import level_of, with_level
from autostream.store.journal import JournalEntry
from autostream.times import iso

STREAMS: Final = "log-levels/"
"""The journal has a stream for each cluster, whose name begins so."""
SET: Final = "log-level-set"
RESET: Final = "log-level-reset"
NOT_SET: Final = "log-level-not-set"
"""Writing failed: the configuration is as it was."""
SETTLED: Final = "log-levels-as-before"
"""All changes are reset: the configuration is as it was before the first of them."""
FORGOTTEN: Final = "log-levels-forgotten"
"""Others have written the configuration, and somebody said that it is theirs from now on."""


@dataclass(frozen=True)
class LevelChange:
    """A level that was changed, and not reset yet.

    Attributes:
        cluster: Name of the cluster.
        number: Version of the journal's stream at which it was set.
        logger: The logger.
        level: Its level.
        before: Its level before; None where it had none of its own.
        at_ms: When it was set.
        until_ms: When it is reset.
        by: Who set it.
        why: Why.
    """

    cluster: str
    number: int
    logger: str
    level: str
    before: str | None
    at_ms: int
    until_ms: int
    by: str
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**vars(self), "at": iso(self.at_ms), "until": iso(self.until_ms)}


@dataclass(frozen=True)
class LevelState:
    """What a cluster's configuration must be.

    Attributes:
        version: Version of the stream.
        baseline: The configuration as it is without any change; None where nothing is changed.
        active: The changes, in the order in which they were made.
        wanted: What the configuration must be; None where that is not ours to say.
        before: What it was before the last entry; what it may still be after a crash.
    """

    version: int = 0
    baseline: str | None = None
    active: tuple[LevelChange, ...] = ()
    wanted: str | None = None
    before: str | None = None

    def due(self, now_ms: int) -> tuple[LevelChange, ...]:
        """Return the changes that must be reset by now."""
        return tuple(change for change in self.active if change.until_ms <= now_ms)

    def judge(self, text: str) -> str:
        """Say how a configuration is: `as-wanted`, `step-not-taken`, or `changed-by-others`."""
        if self.wanted is None or text == self.wanted:
            return "as-wanted"
        return "step-not-taken" if text == self.before else "changed-by-others"


def fold(cluster: str, entries: Sequence[JournalEntry]) -> LevelState:
    """Return what follows from a cluster's entries, the oldest first."""
    never = {number for entry in entries if entry.kind == NOT_SET for number in entry.body["numbers"]}
    state = LevelState()
    for entry in entries:
        if entry.kind != NOT_SET and entry.version not in never:
            state = _after(cluster, state, entry)
    return replace(state, version=entries[-1].version if entries else 0)


def _after(cluster: str, state: LevelState, entry: JournalEntry) -> LevelState:
    if entry.kind not in (SET, RESET):  # settled, or given up: the configuration is others' again
        return LevelState()
    baseline = state.baseline if state.baseline is not None else entry.body.get("baseline")
    if entry.kind == SET:
        change = LevelChange(
            cluster=cluster,
            number=entry.version,
            logger=entry.body["logger"],
            level=entry.body["level"],
            before=level_of(baseline or "", entry.body["logger"]),
            at_ms=entry.at_ms,
            until_ms=entry.body["until_ms"],
            by=entry.by,
            why=entry.why,
        )
        active = (*(one for one in state.active if one.logger != change.logger), change)
    else:
        active = tuple(one for one in state.active if one.number not in entry.body["numbers"])
    before = baseline if state.wanted is None else state.wanted
    return LevelState(entry.version, baseline, active, rendered(baseline, active), before)


def rendered(baseline: str | None, active: Sequence[LevelChange]) -> str | None:
    """Return a configuration with changes."""
    text = baseline
    for change in active:
        text = None if text is None else with_level(text, change.logger, change.level)
    return text
