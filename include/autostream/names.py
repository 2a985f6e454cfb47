"""Names of tables, `CATALOG.NAMESPACE.TABLE`, and of Flink jobs, `CLUSTER/NAME`: everywhere the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autostream.errors import UsageError


@dataclass(frozen=True, order=True)
class TableName:
    """The name of a table in full; a namespace may have several levels.

    Attributes:
        catalog: Name of the catalog, such as `lake`.
        namespace: Levels of the namespace, such as `db` or `raw.shop`.
        table: Name of the table itself, such as `orders`.
    """

    catalog: str
    namespace: str
    table: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Return the name that a text spells.

        Raises:
            UsageError: It has fewer than three parts, or an empty one.
        """
        parts = text.split(".")
        if len(parts) < 3 or not all(parts):
            raise UsageError(f"Invalid table name {text!r}. Write CATALOG.NAMESPACE.TABLE, for example lake.db.orders.")
        return cls.of(parts[0], parts[1:])

    @classmethod
    def of(cls, catalog: str, identifier: Sequence[str]) -> TableName:
        """Return the name of a catalog's table by its identifier, as PyIceberg has it: `("db", "orders")`.

        Names are not judged: a catalog has the tables that it has.
        """
        *namespace, table = identifier
        return cls(catalog, ".".join(namespace), table)

    @property
    def identifier(self) -> tuple[str, ...]:
        """The name within the catalog, as PyIceberg takes it."""
        return (*self.namespace.split("."), self.table)

    @property
    def within_catalog(self) -> str:
        """The name within the catalog, as text: `db.orders`."""
        return f"{self.namespace}.{self.table}"

    def lower(self) -> TableName:
        """Return the name as Hive has it, which takes `DB.T` for `db.t`; the catalog's name keeps its case."""
        return TableName(self.catalog, self.namespace.lower(), self.table.lower())

    def __str__(self) -> str:
        """Return the name in full."""
        return f"{self.catalog}.{self.within_catalog}"


def catalog_of(text: str) -> str:
    """Return the catalog that the name of a table begins with; the rest of the name is not judged."""
    return text.partition(".")[0]


@dataclass(frozen=True, order=True)
class JobName:
    """The name of a Flink job. It outlives job ids: a job that is started again has the same name.

    Attributes:
        cluster: Name of its cluster, as the configuration or Kubernetes discovery has it; without a slash.
        name: The job's own name, which may hold any character, slashes too.
    """

    cluster: str
    name: str

    @classmethod
    def parse(cls, text: str) -> JobName:
        """Return the name that a text spells: the cluster ends at the first slash.

        Raises:
            UsageError: The cluster or the name is missing.
        """
        cluster, slash, name = text.partition("/")
        if not (cluster and slash and name):
            raise UsageError(f"Invalid job name {text!r}. Write CLUSTER/NAME, for example prod/orders-enrich.")
        return cls(cluster, name)

    def __str__(self) -> str:
        """Return the name in full."""
        return f"{self.cluster}/{self.name}"
