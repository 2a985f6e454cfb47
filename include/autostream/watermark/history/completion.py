"""When a table became complete up to some instant, and what was said of it before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pyiceberg.table import Table

from autostream.config import Settings
from autostream.store.database import Database
from autostream.times import describe_instant, iso
from autostream.watermark.history.log import WatermarkLog
from autostream.watermark.history.log_entries import LogEntry
from autostream.watermark.history.metadata_facts import TableId
from autostream.watermark.history.table_past import MOST_FILES, TablePast


@dataclass(frozen=True)
class Withdrawal:
    """A time for which a table was said to be complete, until it was set back.

    Attributes:
        reached_at_ms: since when it was said.
        reset: what took it back.
    """

    reached_at_ms: int
    reset: LogEntry


@dataclass(frozen=True)
class Completion:
    """When a table became complete up to some instant.

    Attributes:
        table: its full name.
        until_ms: that instant.
        reached: the first record that has it, after the last time that it was taken back; None where there is none.
        not_yet_at_ms: when it was last known not to have it before; None where nothing is known from before, so that
            it may have been complete earlier than `reached` says.
        withdrawn: earlier times that it was said, and taken back.
        problems: why something may be missing.
    """

    table: str
    until_ms: int
    reached: LogEntry | None
    not_yet_at_ms: int | None = None
    withdrawn: tuple[Withdrawal, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def reached_at_ms(self) -> int | None:
        """Since when the table is complete up to `until_ms`; None where it is not, or nobody knows."""
        return self.reached.recorded_at_ms if self.reached else None

    @property
    def explanation(self) -> str:
        """All of that in a sentence."""
        until = describe_instant(self.until_ms)
        text = f"{self.table} is not known to be complete up to {until} UTC"
        if self.reached:
            at = _second(self.reached.recorded_at_ms)
            text = f"{self.table} is complete up to {until} UTC since {at} UTC"
            if self.not_yet_at_ms is None:
                text += ", or earlier: nothing older is known"
        for earlier in self.withdrawn:
            by = f" by {earlier.reset.by}" if earlier.reset.by else ""
            why = f" ({earlier.reset.note})" if earlier.reset.note else ""
            text += (
                f"; it had been since {_second(earlier.reached_at_ms)}, until it was set back at "
                f"{_second(earlier.reset.recorded_at_ms)}{by}{why}"
            )
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON: times in ISO 8601 and as `_ms`."""
        return {
            "table": self.table,
            "until": iso(self.until_ms),
            "until_ms": self.until_ms,
            "complete": self.reached is not None,
            "reached_at": iso(self.reached_at_ms),
            "reached_at_ms": self.reached_at_ms,
            "not_yet_at": iso(self.not_yet_at_ms),
            "not_yet_at_ms": self.not_yet_at_ms,
            "entry": self.reached.to_dict() if self.reached else None,
            "withdrawn": [
                {
                    "reached_at": iso(earlier.reached_at_ms),
                    "reached_at_ms": earlier.reached_at_ms,
                    "reset": earlier.reset.to_dict(),
                }
                for earlier in self.withdrawn
            ],
            "explanation": self.explanation,
            "problems": list(self.problems),
        }


def completed_at(
    table: Table | str,
    until_ms: int,
    *,
    settings: Settings | None = None,
    database: Database | None = None,
    most_files: int = MOST_FILES,
) -> Completion:
    """Return when a table became complete up to an instant, and what was said of it before it was set back, if it was.

    Args:
        table: the table, or its full name.
        until_ms: the instant, epoch ms.
        settings: the configuration; None reads it.
        database: the one that the settings name where None.
        most_files: so many metadata files are read for what the database does not know.

    Raises:
        AutostreamError: the table cannot be loaded.
    """
    past = TablePast(table, database, most_files, settings=settings)
    completion = past.ask(lambda log, _: _completion(log, past.id, until_ms))
    return replace(completion, problems=tuple(past.problems))


def _completion(log: WatermarkLog, table: TableId, until_ms: int) -> Completion:
    since, withdrawn = 0, []
    for reset in log.resets(table.uuid):
        if reset.watermark_ms is not None and reset.watermark_ms >= until_ms:
            continue  # it stayed complete up to there
        said = log.first_reaching(table.uuid, until_ms, generation_ms=since)
        if said is not None and said.generation_ms < reset.recorded_at_ms:
            withdrawn.append(Withdrawal(said.recorded_at_ms, reset))
        since = reset.recorded_at_ms
    reached = log.first_reaching(table.uuid, until_ms, generation_ms=since)
    before = log.last_before(table.uuid, reached.recorded_at_ms) if reached else None
    return Completion(table.name, until_ms, reached, before.recorded_at_ms if before else None, tuple(withdrawn))


def _second(ms: int) -> str:
    return describe_instant(ms - ms % 1000)
