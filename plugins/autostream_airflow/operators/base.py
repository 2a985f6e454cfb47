"""What the operators of the workflows share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from autostream_airflow.hooks.catalog import CatalogHook
from autostream_airflow.isolation import TableWorker

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from autostream.config import Settings

Row = dict[str, Any]
"""What became of a table, as `autostream table compact --json` prints it."""

ROWS = "rows"
"""The XCom key under which tasks leave the rows of their tables."""


class WorkerOperator(BaseOperator):
    """Base of the operators that open catalogs: they do it in a child process."""

    _worker: TableWorker | None = None

    def open_worker(self) -> TableWorker:
        """Returns a child process that logs into the task's log, and ends with the task."""
        self._worker = TableWorker(log=self.log.info)
        return self._worker

    def on_kill(self) -> None:
        """Ends the child process."""
        if self._worker is not None:
            self._worker.close()


class TableOperator(WorkerOperator):
    """Base of the operators that open tables, by requests made from the params of a compaction's run."""

    def request(self, action: str, catalog: str, *, context: Context, **more: Any) -> dict[str, Any]:
        """Returns a request as `autostream_airflow.worker.answer` takes it.

        Raises:
            ConfigurationError: The catalog's connection is of another type.
        """
        params = context["params"]
        return {
            "action": action,
            "catalog": catalog,
            "properties": CatalogHook(catalog).properties(),
            "options": option_texts(params["options"] or {}),
            "where": params["where"] or None,
            "dry_run": params["dry_run"],
            **more,
        }


def read_settings() -> Settings:
    """Returns the configuration.

    Raises:
        AirflowFailException: A value is wrong; trying again will not help.
    """
    from autostream.config import load_settings
    from autostream.errors import ConfigurationError

    try:
        return load_settings()
    except ConfigurationError as error:
        raise AirflowFailException(str(error)) from error


def option_texts(options: Mapping[str, Any]) -> dict[str, str]:
    """Options as table properties hold them; in a form or in JSON one may be a number or true."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in options.items()}


def aligned(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of cells as a table of text, its header first."""
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def describe(rows: list[Row]) -> str:
    """What became of tables, one line each."""
    return "\n".join(f"{row['table']}: {summary(row)}" for row in rows)


def summary(row: Row) -> str:
    """What became of one table."""
    return f"{row['status']}: {row['error']}" if row.get("error") else str(row["status"])
