"""Stale Hive locks: found and released, told to others, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from autostream_airflow.assets import RELEASED_LOCKS, released_lock_asset
from autostream_airflow.hooks.catalog import CatalogHook
from autostream_airflow.isolation import TableWorker
from autostream_airflow.operators.base import (
    FAILED,
    JudgeOperator,
    Row,
    WorkerOperator,
    aligned,
    read_settings,
    try_again_later,
)

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from autostream.config import Settings


class SweepLocksOperator(WorkerOperator):
    """Looks through the locks of Hive catalogs, releases the stale ones, and announces each by an asset event.

    It returns one row a lock, and one for each catalog that failed; it succeeds nevertheless, as one catalog holds up
    no other, and because only a task that succeeds may announce anything. The catalogs are those of the param
    `catalogs`, else of `janitor.catalogs`, else the Hive ones among all that are configured.

    Args:
        catalog_timeout_seconds: A catalog whose locks take longer is given up.
        kwargs: What every operator takes.
    """

    def __init__(self, *, catalog_timeout_seconds: float = 240, **kwargs: Any) -> None:
        super().__init__(outlets=[RELEASED_LOCKS], **kwargs)
        self.catalog_timeout_seconds = catalog_timeout_seconds

    def execute(self, context: Context) -> list[Row]:
        """Sweeps.

        Raises:
            AirflowFailException: The configuration is wrong.
            AirflowException: A metastore could not be asked, nothing was released, and a repetition may succeed.
        """
        catalogs, failed = self._catalogs(context["params"]["catalogs"], read_settings())
        if not catalogs and not failed:
            self.log.info(
                "No Hive catalog is configured, so there are no Hive locks to check. Name catalogs in "
                "`janitor.catalogs` (AUTOSTREAM_JANITOR__CATALOGS): connections of type `hive_metastore` or "
                "`iceberg`."
            )
        rows = list(failed)
        with self.open_worker() as worker:
            for catalog, properties in catalogs.items():
                rows += self._sweep(worker, catalog, properties, dry_run=context["params"]["dry_run"])
        for row in rows:
            if row["status"] == "released":
                self.log.warning("Released stale lock %s of %s, held by %s: %s", *_told(row))
                context["outlet_events"][RELEASED_LOCKS].add(released_lock_asset(row["table"]), extra=row)
            elif row["status"] == FAILED:
                self.log.error("%s: %s", row["table"], row["error"])
        if not any(row["status"] == "released" for row in rows):  # a repetition would not report those
            try_again_later(rows, context)
        return rows

    def _catalogs(self, wanted: list[str] | None, settings: Settings) -> tuple[dict[str, dict[str, str]], list[Row]]:
        """Return the catalogs to look through with their connections' properties, and rows of those that cannot be."""
        from autostream.config import configured_catalogs, is_hive_catalog, pyiceberg_catalogs
        from autostream.errors import AutostreamError, ConfigurationError
        from autostream.outcomes import outcome_of_error

        try:
            known = pyiceberg_catalogs()
            named = tuple(wanted or settings.janitor.catalogs)
            names = dict.fromkeys(named or configured_catalogs(settings))
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from error
        found: dict[str, dict[str, str]] = {}
        failed: list[Row] = []
        for name in names:
            try:
                properties = CatalogHook(name).properties()
            except AutostreamError as error:
                failed.append(outcome_of_error(name, error))
                continue
            if named or is_hive_catalog({**known.get(name, {}), **properties}):
                found[name] = properties
        return found, failed

    def _sweep(self, worker: TableWorker, catalog: str, properties: dict[str, str], *, dry_run: bool) -> Iterator[Row]:
        from autostream.actions import ActionFailed
        from autostream.locks.lock_actions import SweepLocks

        request = SweepLocks(catalog=catalog, properties=properties, dry_run=dry_run)
        try:
            locks = worker.ask(request, timeout_seconds=self.catalog_timeout_seconds)
        except ActionFailed as error:
            yield {**error.row, "status": FAILED}
            return
        for lock in locks:
            yield {**lock, "status": status(lock)}


class JudgeLocksOperator(JudgeOperator):
    """Writes one line a lock into its log, and fails the run when a catalog or a release failed, naming them.

    Args:
        rows: What `SweepLocksOperator` returned.
    """

    nothing = "The locks were not checked. See the log of the previous task."

    def lines(self) -> Iterator[str]:
        """Return the locks as a table of text, its header first; a single line where there are none."""
        cells = [("table", "status", "lock", "holder", "reason"), *map(_cells, self.rows)]
        return aligned(cells) if self.rows else iter(("There are no locks.",))

    def verdict(self, failures: int) -> str:
        """Return what to say where some failed."""
        return "Not all locks were checked"


def status(lock: Mapping[str, Any]) -> str:
    """Return what became of a lock, in a word: `kept`, `released`, `stale` (seen in a dry run), `failed`."""
    if lock["error"]:
        return FAILED
    if lock["released"]:
        return "released"
    return "stale" if lock["stale"] else "kept"


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    lock, _, holder, reason = _told(row) if "lock_id" in row else ("", "", "", "")
    return row["table"], row["status"], str(lock), holder, row.get("error") or reason


def _told(row: Mapping[str, Any]) -> tuple[int, str, str, str]:
    holder = f"{row['user']} on {row['host']} ({row['agent'] or 'no agent info'})"
    return row["lock_id"], row["table"], holder, row["reason"]
