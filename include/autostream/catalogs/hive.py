"""A Hive catalog whose commits survive dead writers, lost answers and old metastores, and act by the team's account.

Usable wherever PyIceberg takes `py-catalog-impl`: `autostream.catalogs.hive.HiveCatalog`.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from hive_metastore.ttypes import (
    AlreadyExistsException,
    EnvironmentContext,
    NoSuchObjectException,
)
from hive_metastore.ttypes import Table as HiveTable
from pyiceberg.catalog import hive as pyiceberg_hive
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import StagedTable, Table
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortOrder
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties

from autostream.catalogs.committing import Commit, NotAllowedError, NotAppliedError, NotSentError, RejectedError
from autostream.catalogs.hive_answers import MetastoreAnswer, answer_of
from autostream.catalogs.hive_entry import METADATA_LOCATION, update_entry
from autostream.catalogs.hive_lock import HiveLock, HiveLockPolicy
from autostream.catalogs.locking import (
    LOCK_TYPE,
    CommitLock,
    LockType,
    hive_lock_wanted,
    lock_key,
    lock_properties,
    lock_type,
    zookeeper_lock,
)
from autostream.catalogs.pointers import CommitBase, Pointer, PointerCatalog, PointerView
from autostream.errors import ConfigurationError, DeniedError, ServiceError
from autostream.hadoop.accounts import acting_account
from autostream.hadoop.metastore import MODIFIED, Metastore, MetastoreClient, MetastoreSettings
from autostream.hadoop.thrift_answers import MetastoreAnswerLostError
from autostream.names import TableName
from autostream.properties import of_catalog

COMPARE_AND_SWAP: Final = "autostream.hive.compare-and-swap"

_ALLOWED: Final = tuple(LockType)
_NO_STATISTICS: Final = {pyiceberg_hive.DO_NOT_UPDATE_STATS: pyiceberg_hive.DO_NOT_UPDATE_STATS_DEFAULT}


class HiveCatalog(PointerCatalog, pyiceberg_hive.HiveCatalog):
    """PyIceberg's Hive catalog with commits of our own.

    A commit locks the table (ZooKeeper, Hive or none), reads it again, writes `metadata.json` and swaps the pointer,
    by comparison where the metastore can. Whatever becomes of the answer, the outcome is found out (see `committing`).
    Files and tables are made by the account that acts for the table: its property `autostream.proxy-user`, else its
    namespace's, else the catalog's.
    """

    def __init__(self, name: str, **properties: str) -> None:
        """Open the catalog; nothing is connected yet.

        Raises:
            ConfigurationError: a property is missing or wrong.
        """
        self.metastore = Metastore(MetastoreSettings.from_properties(properties, owner=f"Catalog {name}"))
        super().__init__(name, **properties)
        self._said = of_catalog(name, self.properties)
        self._compare_and_swap = self._said.boolean(COMPARE_AND_SWAP, None)

    @staticmethod
    def _create_hive_client(_properties: dict[str, str]) -> Any:
        return None

    @property  # type: ignore[override]
    def _client(self) -> AbstractContextManager[MetastoreClient]:
        """A connection of its own for each `with`: PyIceberg shares one, which threads take from each other."""
        return self._session()

    @_client.setter
    def _client(self, _: Any) -> None:
        """Ignore it: the parent's constructor sets what is not used here."""

    def _session(self) -> AbstractContextManager[MetastoreClient]:
        return self.metastore.session(self._account)

    def _namespace_parameters(self, namespace: str) -> Mapping[str, str]:
        with self._acting_as(None), self._session() as client:
            try:
                return client.get_database(namespace).parameters or {}
            except NoSuchObjectException as error:
                raise NoSuchNamespaceError(f"Database does not exist: {namespace}") from error

    def _convert_hive_into_iceberg(self, table: HiveTable) -> Table:
        account = self.account_of(table.parameters or {}, table.dbName)
        with self._acting_as(account):
            return super()._convert_hive_into_iceberg(table)

    def _convert_iceberg_into_hive(self, table: Table) -> HiveTable:
        made = super()._convert_iceberg_into_hive(table)
        if pyiceberg_hive.OWNER not in table.properties:
            made.owner = self._account or self.metastore.settings.user or getpass.getuser()
        made.sd.cols, made.parameters = [], {"EXTERNAL": "TRUE"}
        return self._entry(made, table, base=None)

    # -------------------------------------------------------------------------------------------- reading

    def _read(self, database: str, name: str) -> HiveTable:
        """Return the metastore's table.

        Raises:
            NoSuchTableError: there is none.
        """
        with self._acting_as(None), self._session() as client:
            return self._get_hive_table(client, database, name)

    def load_table(self, identifier: str | Identifier) -> Table:
        """Load a table; it is read as the service, its files as the account that acts for it."""
        database, name = self.identifier_to_database_and_table(identifier, NoSuchTableError)
        return self._convert_hive_into_iceberg(self._read(database, name))

    # ------------------------------------------------------------------------------------------- creation

    def create_namespace(self, namespace: str | Identifier, properties: Properties = EMPTY_DICT) -> None:
        """Create a namespace, by the account that acts for its tables: they are to be made in its directory.

        Raises:
            NamespaceAlreadyExistsError: there is one of that name.
        """
        with self._acting_as(acting_account({}, properties, self.properties)):
            super().create_namespace(namespace, properties)

    def drop_namespace(self, namespace: str | Identifier) -> None:
        """Drop an empty namespace, by the account that acts for its tables.

        Raises:
            NoSuchNamespaceError: there is none of that name.
            NamespaceNotEmptyError: it has tables.
        """
        database = self.identifier_to_database(namespace, NoSuchNamespaceError)
        with self._acting_as(self.account_of({}, database)):
            super().drop_namespace(namespace)

    def create_table(
        self,
        identifier: str | Identifier,
        schema: Any,
        location: str | None = None,
        partition_spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
        sort_order: SortOrder = UNSORTED_SORT_ORDER,
        properties: Properties = EMPTY_DICT,
    ) -> Table:
        """Create a table, by the account that will act for it.

        Raises:
            TableAlreadyExistsError: there is one of that name.
            CommitStateUnknownException: whether it was created is not known.
        """
        database, name = self.identifier_to_database_and_table(identifier)
        with self._acting_as(self.account_of(properties, database)):
            staged = self._create_staged_table(
                identifier=(database, name),
                schema=schema,
                location=location,
                partition_spec=partition_spec,
                sort_order=sort_order,
                properties={**pyiceberg_hive.DEFAULT_PROPERTIES, **properties},
            )
            pointer = _Creation(self, self._convert_iceberg_into_hive(staged))
            try:
                self._send(TableName(self.name, database, name), self._swap(staged, pointer, None))
            except CommitFailedException as error:
                if pointer.exists_already:
                    raise TableAlreadyExistsError(f"Table {database}.{name} already exists") from error
                raise
        return self.load_table((database, name))

    def create_table_if_not_exists(
        self, identifier: str | Identifier, schema: Schema, *args: Any, **kwargs: Any
    ) -> Table:
        """Create a table, or load the one that is there."""
        try:
            return self.create_table(identifier, schema, *args, **kwargs)
        except TableAlreadyExistsError:
            return self.load_table(identifier)

    def drop_table(self, identifier: str | Identifier) -> None:
        """Drop a table, by the account that acts for it."""
        database, name = self.identifier_to_database_and_table(identifier, NoSuchTableError)
        table = self._read(database, name)
        with self._acting_as(self.account_of(table.parameters or {}, database)):
            super().drop_table(identifier)

    def rename_table(self, from_identifier: str | Identifier, to_identifier: str | Identifier) -> Table:
        """Rename a table, by the account that acts for it."""
        database, name = self.identifier_to_database_and_table(from_identifier, NoSuchTableError)
        table = self._read(database, name)
        with self._acting_as(self.account_of(table.parameters or {}, database)):
            return super().rename_table(from_identifier, to_identifier)

    # --------------------------------------------------------------------------------------------- commit

    def _locks(self, name: TableName, table: Table) -> Sequence[CommitLock]:
        said = lock_properties(name, table.metadata.properties, self.properties)
        chosen = lock_type(said, default=LockType.HIVE, allowed=_ALLOWED)
        locks: list[CommitLock] = []
        if chosen is LockType.ZOOKEEPER:
            key = lock_key(name, self.properties, ignores_case=True)
            locks.append(zookeeper_lock(key, said, catalog=self.properties))
        if hive_lock_wanted(chosen, said):
            policy = HiveLockPolicy.from_properties(said)
            user = self.metastore.settings.account
            locks.append(HiveLock(self.metastore, name.namespace, name.table, policy, user=user))
        return locks

    def _base(self, commit: Commit) -> CommitBase:
        database = commit.name.namespace
        try:
            entry = self._read(database, commit.name.table)
        except NoSuchTableError:
            return CommitBase(None, self.account_of(commit.table.properties, database))
        return CommitBase(self._convert_hive_into_iceberg(entry), self.account_of(entry.parameters, database), entry)

    def _pointer(self, commit: Commit, staged: StagedTable, base: CommitBase) -> Pointer:
        if base.table is None:
            return _Creation(self, self._convert_iceberg_into_hive(staged))
        altered = self._entry(base.entry, staged, base=base.table)
        compares = self._compares_and_swaps(base.entry)
        if not compares and not commit.locks:
            raise ConfigurationError(
                f"Table {commit.name} has lock type none, but its metastore does not compare when it swaps: "
                f"simultaneous commits would be lost. Set {LOCK_TYPE} to zookeeper or hive, or upgrade the metastore "
                "to a version with HIVE-26882."
            )
        return _Alteration(self, altered, base.table.metadata_location, compare_and_swap=compares)

    def _compares_and_swaps(self, table: HiveTable) -> bool:
        if self._compare_and_swap is not None:
            return self._compare_and_swap
        with self._session() as client:
            return client.compares_and_swaps(table)

    def _entry(self, entry: HiveTable, staged: Table, *, base: Table | None) -> HiveTable:
        """Return the metastore's table as it is to be."""
        return update_entry(
            entry,
            base=base.metadata if base else None,
            new=staged.metadata,
            location=staged.metadata_location,
            base_location=base.metadata_location if base else None,
            catalog=self.properties,
            has_local_time_zone=self._has_local_time_zone,
        )

    def _has_local_time_zone(self) -> bool:
        if self._said.boolean(pyiceberg_hive.HIVE2_COMPATIBLE, False):
            return False
        with self._session() as client:
            return client.has_catalogs()

    def _view(self, database: str, name: str) -> PointerView:
        """Return where a table points to, with its history."""
        try:
            hive_table = self._read(database, name)
        except NoSuchTableError:
            return PointerView(None)
        location = (hive_table.parameters or {}).get(METADATA_LOCATION)
        if location is None:
            return PointerView(None)
        metadata = FromInputFile.table_metadata(self._load_file_io(location=location).new_input(location))
        return PointerView.of(location, metadata)


class _Creation:
    """The pointer of a table that does not exist yet: the metastore takes one creation of a name."""

    compare_and_swap = True

    def __init__(self, catalog: HiveCatalog, table: HiveTable) -> None:
        self._catalog, self._table = catalog, table
        self.exists_already = False

    def swap(self) -> None:
        """Create the table."""
        try:
            with self._catalog._client as client:
                client.create_table(self._table)
        except Exception as error:
            self.exists_already = isinstance(error, AlreadyExistsException)
            raise _classified(self._table, error) from error

    def read(self) -> PointerView:
        """Return where the table points to, if there is one."""
        return self._catalog._view(self._table.dbName, self._table.tableName)


class _Alteration:
    """The pointer of a table in the metastore: its parameter `metadata_location`."""

    def __init__(self, catalog: HiveCatalog, altered: HiveTable, base: str, *, compare_and_swap: bool) -> None:
        self._catalog, self._altered, self._base = catalog, altered, base
        self.compare_and_swap = compare_and_swap

    def swap(self) -> None:
        """Alter the table, expecting the base; where the metastore does not compare, it is looked right before."""
        expected = {"expected_parameter_key": METADATA_LOCATION, "expected_parameter_value": self._base}
        context = EnvironmentContext(properties=_NO_STATISTICS | (expected if self.compare_and_swap else {}))
        database, name = self._altered.dbName, self._altered.tableName
        try:
            with self._catalog._client as client:
                if not self.compare_and_swap:
                    found = (client.get_table(database, name).parameters or {}).get(METADATA_LOCATION)
                    if found != self._base:
                        raise NotAppliedError(f"{MODIFIED}: it points to {found}, not to {self._base}")
                client.alter_table_with_environment_context(database, name, self._altered, context)
        except Exception as error:
            raise _classified(self._altered, error) from error

    def read(self) -> PointerView:
        """Return where the table points to."""
        return self._catalog._view(self._altered.dbName, self._altered.tableName)


def _classified(table: HiveTable, error: Exception) -> Exception:
    """Tell the answers that say that nothing was done, for now or for ever, from those that leave it open."""
    message = str(getattr(error, "message", None) or error or type(error).__name__)
    if isinstance(error, (NotAppliedError, MetastoreAnswerLostError)):
        return error
    if isinstance(error, (ServiceError, DeniedError)):  # raised before there was a connection
        return NotSentError(message)
    name = f"{table.dbName}.{table.tableName}"
    match answer_of(error):
        case MetastoreAnswer.OVERTAKEN:
            return NotAppliedError(message)
        case MetastoreAnswer.FORBIDDEN:
            return NotAllowedError(
                f"The metastore does not allow this account to change {name}: {message}. Give the account the right "
                "to alter the table, or set an account that has it (autostream.proxy-user)."
            )
        case MetastoreAnswer.REJECTED:
            return RejectedError(
                f"The metastore refused the change of {name}: {message}. It would refuse the same change again. "
                "Correct the table's entry (SHOW CREATE TABLE in Hive), or the metastore's setting that forbids the "
                "change."
            )
    return ServiceError(f"{type(error).__name__}: {message}")
