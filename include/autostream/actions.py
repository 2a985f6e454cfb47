"""Work on catalogs and tables as typed requests, which a process of its own can be asked for.

A package that has such work writes a subclass of `Action`, and registers it in `ACTIONS` by one line. What runs them, a
command in its own process or the child process of an Airflow task, knows only this module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from autostream.errors import AutostreamError, DefectError, TimedOutError
from autostream.names import catalog_of
from autostream.outcomes import outcome_of_error

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from autostream.config import Settings

ACTIONS: Final[Mapping[str, str]] = {
    "list-tables": "autostream.lake.compaction.compaction_actions:ListTables",
    "plan-compaction": "autostream.lake.compaction.compaction_actions:PlanTable",
    "compact": "autostream.lake.compaction.compaction_actions:CompactTable",
    "sweep-locks": "autostream.locks.lock_actions:SweepLocks",
}
"""Where the class of each kind of action is; imported when the first of its kind is asked for."""

_KIND: Final = "action"
_logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Workbench:
    """What actions need: the configuration, and catalogs, each of which is opened once.

    Args:
        settings: The configuration.
        open_catalog: Opens a catalog by name and properties; None: by PyIceberg's configuration with these on top.
        report: Gets a line of progress, and the subject that it is about.
        on_step: Gets each step of a commit, and the table that it is about.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        open_catalog: Callable[[str, Mapping[str, str] | None], Catalog] | None = None,
        report: Callable[[str, str], None] = lambda subject, line: _logger.info("%s: %s", subject, line),
        on_step: Callable[[str, str], None] = lambda subject, step: None,
    ) -> None:
        self.settings = settings
        self.report = report
        self.on_step = on_step
        self._open = open_catalog
        self._catalogs: dict[str, Catalog] = {}

    def open(self, name: str, properties: Mapping[str, str] | None = None) -> Catalog:
        """Return a catalog, which costs as much to open as many tables cost to load."""
        from autostream.catalogs.opening import open_catalog

        if name not in self._catalogs:
            self._catalogs[name] = (self._open or open_catalog)(name, properties)
        return self._catalogs[name]


class Action(BaseModel, Generic[Answer]):
    """A request for work on one catalog or table, and the work itself.

    Attributes:
        kind: The name by which `ACTIONS` has it.
        properties: Properties of the catalog, on top of PyIceberg's configuration.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    properties: dict[str, str] = Field(default={}, repr=False)  # may hold passwords

    @property
    def catalog_name(self) -> str:
        """The catalog to open."""
        raise NotImplementedError

    @property
    def subject(self) -> str:
        """The name of what it is about, as outcomes have it."""
        raise NotImplementedError

    @property
    def description(self) -> str:
        """What it is about, for messages: `table lake.db.orders`."""
        raise NotImplementedError

    def perform(self, bench: Workbench) -> Answer:
        """Do the work, and return what JSON can carry."""
        raise NotImplementedError

    def too_slow(self, timeout_seconds: float) -> TimedOutError:
        """Return what to say when it took longer than it may."""
        return TimedOutError(
            f"Stopped work on {self.description} after {timeout_seconds:g} seconds. Work that was not committed by "
            "then has no effect. Raise `compaction.table_timeout_seconds`, or find out what takes so long: "
            "autostream table inspect."
        )

    def with_properties(self, properties: Mapping[str, str]) -> Self:
        """Return the same request for a catalog with these properties."""
        return self.model_copy(update={"properties": dict(properties)})

    def to_document(self) -> dict[str, Any]:
        """Return the request as JSON carries it."""
        return {_KIND: self.kind, **self.model_dump(mode="json")}


class CatalogAction(Action[Answer]):
    """A request about a catalog."""

    catalog: str

    @property
    def catalog_name(self) -> str:
        """The catalog to open."""
        return self.catalog

    @property
    def subject(self) -> str:
        """The catalog's name."""
        return self.catalog

    @property
    def description(self) -> str:
        """What it is about, for messages."""
        return f"catalog {self.catalog}"


class TableAction(Action[Answer]):
    """A request about a table, by its full name."""

    table: str

    @property
    def catalog_name(self) -> str:
        """The catalog to open."""
        return catalog_of(self.table)

    @property
    def subject(self) -> str:
        """The table's name."""
        return self.table

    @property
    def description(self) -> str:
        """What it is about, for messages."""
        return f"table {self.table}"


class ActionFailed(AutostreamError):
    """An action ended by an error; `row` is the outcome of what it was about."""

    def __init__(self, message: str, *, row: Mapping[str, Any] | None = None) -> None:
        """Keep the outcome."""
        super().__init__(message)
        self.row = dict(row or {})

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> ActionFailed:
        """Return the error that an outcome tells of."""
        return cls(str(row["error"]), row=row)


def action_of(document: Mapping[str, Any]) -> Action[Any]:
    """Return the request that `Action.to_document` described.

    Raises:
        DefectError: No such kind of action is registered.
    """
    kind = str(document.get(_KIND))
    if kind not in ACTIONS:
        raise DefectError(f"Unknown action {kind!r}. Registered: {', '.join(ACTIONS)}.")
    module, _, name = ACTIONS[kind].partition(":")
    action: type[Action[Any]] = getattr(import_module(module), name)
    return action.model_validate({key: value for key, value in document.items() if key != _KIND})


def perform(action: Action[Answer], bench: Workbench) -> Answer:
    """Do what an action asks for.

    Raises:
        ActionFailed: It ended by an error, whatever kind of error.
    """
    try:
        return action.perform(bench)
    except Exception as error:
        if not isinstance(error, AutostreamError):  # nobody wrote its message for a reader
            _logger.exception("unexpected %s", type(error).__name__)
        raise ActionFailed.of(outcome_of_error(action.subject, error)) from error
