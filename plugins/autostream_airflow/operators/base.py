"""What the operators of the workflows share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.log import mask_secret

from autostream.spelling import counted
from autostream_airflow.hooks.catalog import CatalogHook
from autostream_airflow.isolation import TableWorker

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from autostream.actions import Action, Answer
    from autostream.config import Settings
    from autostream.lake.compaction.fleet import FleetOrder, Perform

Row = dict[str, Any]
"""What became of a table, as `autostream table compact --json` prints it."""

FAILED = "failed"
"""The status of what failed."""

ROWS = "rows"
"""The XCom key under which tasks leave the rows of their tables."""


class WorkerOperator(BaseOperator):
    """Base of the operators that open catalogs: they do it in a child process."""

    _worker: TableWorker | None = None

    def open_worker(self) -> TableWorker:
        """Return a child process that logs into the task's log, and ends with the task."""
        self._worker = TableWorker(log=self.log.info)
        return self._worker

    def on_kill(self) -> None:
        """End the child process."""
        if self._worker is not None:
            self._worker.close()


class FleetOperator(WorkerOperator):
    """Base of the operators of a compaction's run: its params as an order, and a child process that does the work."""

    def order(self, context: Context) -> FleetOrder:
        """Return what the params of the run ask for.

        Raises:
            UsageError: A table has no such name.
        """
        from autostream.lake.compaction.fleet import FleetOrder
        from autostream.lake.compaction.table_selection import TableSelection

        params = context["params"]
        return FleetOrder(
            selection=TableSelection.parse(params["tables"] or []),
            options=option_texts(params["options"] or {}),
            where=params["where"] or None,
            dry_run=params["dry_run"],
        )

    def performing(self, worker: TableWorker, *, timeout_seconds: float) -> Perform:
        """Return what has a child process do each action, in a catalog of Airflow's connections."""

        def perform(action: Action[Answer], /) -> Answer:
            request = action.with_properties(CatalogHook(action.catalog_name).properties())
            return worker.ask(request, timeout_seconds=timeout_seconds)

        return perform


class JudgeOperator(BaseOperator):
    """Base of the last task of a workflow: writes one line a row into its log, and fails the run when any row failed.

    Args:
        rows: What the task before returned.
        kwargs: What every operator takes.
    """

    template_fields: Sequence[str] = ("rows",)
    nothing = "The previous task reported nothing. See its log."
    """What to say where the task before returned nothing."""

    def __init__(self, *, rows: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows = rows

    def execute(self, context: Context) -> None:
        """Judges.

        Raises:
            AirflowFailException: A row failed, which the message names, or there are no rows at all.
        """
        if self.rows is None:
            raise AirflowFailException(self.nothing)
        for line in self.lines():
            self.log.info("%s", line)
        if broken := [row for row in self.rows if self.failed(row)]:
            from autostream.lake.compaction.table_outcomes import describe

            raise AirflowFailException(f"{self.verdict(len(broken))}:\n{describe(broken)}")

    def lines(self) -> Iterator[str]:
        """Return the rows as text."""
        raise NotImplementedError

    def failed(self, row: Row) -> bool:
        """Whether a row says that something failed."""
        return bool(row["status"] == FAILED)

    def verdict(self, failures: int) -> str:
        """Return what to say where some rows failed."""
        return f"{failures} of {counted(len(self.rows), 'table')} failed"


def try_again_later(rows: Iterable[Mapping[str, Any]], context: Context) -> None:
    """Has Airflow try the task again where that may help, and there is a try left.

    Args:
        rows: Those that failed.
        context: The task's.

    Raises:
        AirflowException: A service was away, say: the same work may succeed a little later.
    """
    from autostream.lake.compaction.table_outcomes import describe
    from autostream.outcomes import worth_repeating

    passing = [row for row in rows if worth_repeating(row)]
    if passing and context["ti"].try_number <= context["ti"].max_tries:
        raise AirflowException(f"Airflow will try these again:\n{describe(passing)}")


def read_settings() -> Settings:
    """Return the configuration, whose secrets Airflow hides in the task's log from then on.

    Raises:
        AirflowFailException: A value is wrong; trying again will not help.
    """
    from autostream.config import load_settings
    from autostream.errors import ConfigurationError
    from autostream.masking import known

    try:
        settings = load_settings()
    except ConfigurationError as error:
        raise AirflowFailException(str(error)) from error
    for secret in known():
        mask_secret(secret)
    return settings


def option_texts(options: Mapping[str, Any]) -> dict[str, str]:
    """Options as table properties hold them; in a form or in JSON one may be a number or true."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in options.items()}


def aligned(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of cells as a table of text, its header first."""
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
