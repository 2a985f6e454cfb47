"""A SQL catalog (PostgreSQL, SQLite) whose commits survive lost answers, and can be locked by ZooKeeper.

Usable wherever PyIceberg takes `py-catalog-impl`: `autostream.catalogs.sql.SqlCatalog`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pyiceberg.catalog import Catalog
from pyiceberg.catalog import sql as pyiceberg_sql
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import StagedTable, Table, TableProperties
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortOrder
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties
from sqlalchemy import and_, insert, make_url, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from autostream.catalogs.acting import has_owners
from autostream.catalogs.committing import Commit, NotAllowedError, NotAppliedError, NotSentError, RejectedError
from autostream.catalogs.failures import database_words, explained, is_busy
from autostream.catalogs.locking import CommitLock, optional_lock
from autostream.catalogs.pointers import CommitBase, PointerCatalog, PointerView
from autostream.errors import ConfigurationError, DeniedError, ServiceError
from autostream.masking import ESCAPES
from autostream.names import TableName

_TABLES: Final = pyiceberg_sql.IcebergTables


# libpq waits for ever for a server that accepts connections and says nothing, or has gone without a word.
_POSTGRESQL: Final[dict[str, str]] = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_LIBPQ_DRIVERS: Final = ("psycopg", "psycopg2")


def with_time_outs(uri: str) -> str:
    """Return a database's URL with time-outs where it has none: a server that says nothing counts as away then.

    Raises:
        ConfigurationError: it is no URL, or a part of its password would be taken for the host, asked for and shown.
    """
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError) as error:  # SQLAlchemy speaks of Python's `int`
        raise ConfigurationError(
            "Invalid catalog property uri: it is not the URL of a database. Write, for example, "
            f"postgresql+psycopg2://USER:PASSWORD@HOST:5432/DATABASE or sqlite:////PATH. {ESCAPES}"
        ) from error
    if "@" in (url.host or "") or ("@" in (url.database or "") and url.password):
        raise ConfigurationError(
            f"Invalid catalog property uri: its password has a character with a special meaning in URLs. {ESCAPES}"
        )
    if url.get_backend_name() != "postgresql" or url.get_driver_name() not in _LIBPQ_DRIVERS:
        return uri
    return url.update_query_dict({**_POSTGRESQL, **url.query}).render_as_string(hide_password=False)


class SqlCatalog(PointerCatalog, pyiceberg_sql.SqlCatalog):
    """PyIceberg's SQL catalog with commits of our own: the row's `metadata_location` is swapped by comparison."""

    def __init__(self, name: str, **properties: str) -> None:
        """Open the catalog and, where it is new, create its tables.

        Raises:
            ConfigurationError: the database does not count changed rows, so it cannot compare and swap.
        """
        if uri := properties.get("uri"):
            properties = {**properties, "uri": with_time_outs(uri)}
        super().__init__(name, **properties)
        dialect = self.engine.dialect
        if not dialect.supports_sane_rowcount:
            raise ConfigurationError(
                f"Catalog {name}: commits to a {dialect.name} database are not safe, because it does not report how "
                "many rows an UPDATE changed. Use PostgreSQL or SQLite."
            )

    def _convert_orm_to_iceberg(self, orm_table: pyiceberg_sql.IcebergTables) -> Table:
        location, namespace, account = orm_table.metadata_location, orm_table.table_namespace, None
        if not location:
            raise NoSuchTableError(f"Table {namespace}.{orm_table.table_name} has no metadata in the catalog.")
        if has_owners(location):
            account = self.account_of({}, namespace)
        # As PyIceberg's own, but for the FileIO by which the metadata is read: it would not ask this catalog for it.
        with self._acting_as(account):
            metadata = FromInputFile.table_metadata(self._load_file_io(location=location).new_input(location))
            return Table(
                identifier=(*Catalog.identifier_to_tuple(namespace), orm_table.table_name),
                metadata=metadata,
                metadata_location=location,
                io=self._load_file_io(metadata.properties, location),
                catalog=self,
            )

    def create_table(
        self,
        identifier: str | Identifier,
        schema: Any,
        location: str | None = None,
        partition_spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
        sort_order: SortOrder = UNSORTED_SORT_ORDER,
        properties: Properties = EMPTY_DICT,
    ) -> Table:
        """Create a table.

        Raises:
            TableAlreadyExistsError: there is one of that name.
            NoSuchNamespaceError: there is no such namespace.
            CommitStateUnknownException: whether it was created is not known.
        """
        namespace_identifier, name = Catalog.namespace_from(identifier), Catalog.table_name_from(identifier)
        if not self.namespace_exists(namespace_identifier):
            raise NoSuchNamespaceError(f"Namespace does not exist: {namespace_identifier}")
        namespace = Catalog.namespace_to_string(namespace_identifier)
        with self._acting_as(self.account_of(properties, namespace)):
            staged = self._staged(identifier, schema, location, partition_spec, sort_order, properties)
            try:
                self._send(
                    TableName(self.name, namespace, name), self._swap(staged, _Row(self, staged, base=None), None)
                )
            except CommitFailedException as error:
                if self.table_exists(identifier):
                    raise TableAlreadyExistsError(f"Table {namespace}.{name} already exists") from error
                raise
            return self.load_table(identifier)

    def _staged(
        self,
        identifier: str | Identifier,
        schema: Any,
        location: str | None,
        partition_spec: PartitionSpec,
        sort_order: SortOrder,
        properties: Properties,
    ) -> StagedTable:
        """Return a new table; unlike the parent's, of a namespace of any depth."""
        namespace = Catalog.namespace_to_string(Catalog.namespace_from(identifier))
        name = Catalog.table_name_from(identifier)
        version = properties.get(TableProperties.FORMAT_VERSION, TableProperties.DEFAULT_FORMAT_VERSION)
        location = self._resolve_table_location(location, namespace, name)
        metadata_location = load_location_provider(location, properties).new_table_metadata_file_location()
        metadata = new_table_metadata(
            location=location,
            schema=self._convert_schema_if_needed(schema, int(version)),  # type: ignore[arg-type]
            partition_spec=partition_spec,
            sort_order=sort_order,
            properties=properties,
        )
        return StagedTable(
            identifier=Catalog.identifier_to_tuple(identifier),
            metadata=metadata,
            metadata_location=metadata_location,
            io=self._load_file_io(properties, metadata_location),
            catalog=self,
        )

    def _locks(self, name: TableName, table: Table) -> Sequence[CommitLock]:
        return optional_lock(name, table=table.metadata.properties, catalog=self.properties)

    def _base(self, commit: Commit) -> CommitBase:
        account = self.account_of(commit.table.properties, commit.name.namespace)
        try:
            return CommitBase(self.load_table(commit.table.name()), account)
        except NoSuchTableError:
            return CommitBase(None, account)

    def _pointer(self, _: Commit, staged: StagedTable, base: CommitBase) -> _Row:
        return _Row(self, staged, base.table.metadata_location if base.table else None)


class _Row:
    """The row of a table in the catalog's database."""

    compare_and_swap = True

    def __init__(self, catalog: SqlCatalog, staged: StagedTable, base: str | None) -> None:
        self._catalog, self._staged, self._base = catalog, staged, base
        self._namespace = Catalog.namespace_to_string(Catalog.namespace_from(staged.name()))
        self._name = staged.name()[-1]

    def _is_mine(self) -> Any:
        return and_(
            _TABLES.catalog_name == self._catalog.name,
            _TABLES.table_namespace == self._namespace,
            _TABLES.table_name == self._name,
        )

    def swap(self) -> None:
        """Insert the row, or change it where it still has the base."""
        with Session(self._catalog.engine) as session:
            try:
                self._change(session)
            except DBAPIError as error:  # nothing was committed yet
                raise self._refusal(error) from error
            try:
                session.commit()
            except IntegrityError as error:  # of a constraint that is checked at the end
                raise self._refusal(error) from error

    def _change(self, session: Session) -> None:
        new = self._staged.metadata_location
        if self._base is None:
            row = self._catalog._create_table_row(self._namespace, self._name, new)
            try:
                session.execute(insert(_TABLES).values(**row))
            except IntegrityError as error:
                raise NotAppliedError(f"table {self._namespace}.{self._name} already exists") from error
            return
        changed = session.execute(
            update(_TABLES)
            .where(self._is_mine(), _TABLES.metadata_location == self._base)
            .values(metadata_location=new, previous_metadata_location=self._base)
        )
        if changed.rowcount < 1:  # type: ignore[attr-defined]
            raise NotAppliedError(f"another commit was faster: the table no longer points to {self._base}")

    def _refusal(self, error: DBAPIError) -> NotAppliedError:
        """Return what a database's error means before the commit: not sent, undone for now, or refused for good."""
        name = f"{self._namespace}.{self._name}"
        if is_busy(error):
            return NotAppliedError(database_words(error))
        failure = explained(error)
        if isinstance(failure, DeniedError):
            return NotAllowedError(f"Not allowed to change {name}. {failure}")
        if isinstance(failure, ServiceError):
            return NotSentError(str(failure))
        return RejectedError(
            f"The catalog's database refused the change of {name}: {database_words(error)}. It would refuse the same "
            "change again. Correct the cause, such as a constraint or trigger of its table iceberg_tables, or a "
            "read-only server."
        )

    def read(self) -> PointerView:
        """Return where the table points to, with its history."""
        with Session(self._catalog.engine) as session:
            location = session.scalar(select(_TABLES.metadata_location).where(self._is_mine()))
        if location is None:
            return PointerView(None)
        metadata = FromInputFile.table_metadata(self._catalog._load_file_io(location=location).new_input(location))
        return PointerView.of(location, metadata)
