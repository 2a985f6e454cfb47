"""Writing down what compactions did: an edge, which never fails what it records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from autostream import times
from autostream.coordination.lock_holder import Holder
from autostream.errors import AutostreamError, UsageError
from autostream.outcomes import outcome_of_error

if TYPE_CHECKING:
    from autostream.config import DatabaseSettings
    from autostream.lake.compaction.compaction_result import CompactionResult

_NOT_WRITTEN: Final = ("planned", "nothing-to-do")

_logger = logging.getLogger(__name__)


def record_outcomes(
    outcomes: Iterable[Mapping[str, Any]],
    *,
    started_at_ms: int,
    partitions: int | None = None,
    settings: DatabaseSettings | None = None,
) -> None:
    """Write down outcomes of tables, of which each `CompactionResult.to_dict` or `outcome_of_error` gave.

    Of dry runs, and where nothing was to do, nothing is written. Where no database is configured, and none is in
    use on this machine, nothing is written either. A database that fails is a warning in the log, once.

    Args:
        outcomes: What became of the tables.
        started_at_ms: When their turn came.
        partitions: How many partitions of the table the work was about; None for the whole table.
        settings: Which database, and for how long it remembers; None: those of the configuration.
    """
    done = [outcome for outcome in outcomes if outcome["status"] not in _NOT_WRITTEN]
    if not done:
        return
    try:
        _write(done, started_at_ms, partitions, settings)
    except AutostreamError as error:
        _warn_once(str(error))


def run_recorded(
    table: str, compact: Callable[[], CompactionResult], *, settings: DatabaseSettings | None = None
) -> CompactionResult:
    """Compact a table, and write down what became of it, an error too.

    Args:
        table: Its full name.
        compact: Does it.
        settings: Which database, and for how long it remembers; None: those of the configuration.

    Raises:
        AutostreamError: What `compact` raises.
    """
    started_at_ms = times.now_ms()
    try:
        result = compact()
    except UsageError:  # nobody tried to compact anything
        raise
    except AutostreamError as error:
        record_outcomes([outcome_of_error(table, error)], started_at_ms=started_at_ms, settings=settings)
        raise
    record_outcomes([result.to_dict()], started_at_ms=started_at_ms, settings=settings)
    return result


def _write(
    outcomes: Iterable[Mapping[str, Any]], started_at_ms: int, partitions: int | None, settings: DatabaseSettings | None
) -> None:
    from autostream.config import load_settings
    from autostream.store.database import is_in_use, open_database  # loads SQLAlchemy

    settings = settings or load_settings().database
    if not is_in_use(settings):
        return
    from autostream.lake.compaction.runs.log import CompactionRun, RunLog

    now_ms, by = times.now_ms(), who_compacts()
    with open_database(settings).write() as connection:
        log = RunLog(connection)
        for outcome in sorted(outcomes, key=lambda outcome: (outcome["table"], outcome["status"])):
            log.add(
                CompactionRun.of(outcome, by=by, started_at_ms=started_at_ms, ended_at_ms=now_ms, partitions=partitions)
            )
        log.forget_when_due(now_ms=now_ms, keep_days=settings.history_days)


@lru_cache(maxsize=32)
def _warn_once(why: str) -> None:
    _logger.warning("Could not record this compaction, so the console will not show it: %s", why)


def who_compacts() -> str:
    """Return who runs compactions in this process: a run of Airflow, or an account and its machine."""
    return Holder.of_this_process("compaction").who
