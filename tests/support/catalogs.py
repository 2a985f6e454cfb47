"""Catalogs of real services for tests, each with a namespace of its own."""

import uuid
from collections.abc import Mapping

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table, Transaction

from autostream.catalogs.opening import open_catalog

IDS = pa.schema([("id", pa.int64())])


def hive_catalog(uri: str, **properties: str) -> Catalog:
    """Open a Hive catalog by autostream's implementation; dots of property names are written as double underscores."""
    return open_catalog("hive", {"type": "hive", "uri": uri, **dotted(properties)})


def dotted(properties: Mapping[str, str]) -> dict[str, str]:
    """Return properties by their real names: ``autostream__lock__type`` is ``autostream.lock.type``."""
    return {key.replace("__", ".").replace("_", "-"): value for key, value in properties.items()}


def new_namespace(catalog: Catalog, **properties: str) -> str:
    """Make a namespace that no other test has."""
    name = f"ns_{uuid.uuid4().hex[:12]}"
    catalog.create_namespace(name, dotted(properties))
    return name


def append(table: Table | Transaction, *ids: int) -> None:
    """Append rows with these ids."""
    table.append(pa.table({"id": pa.array(ids, pa.int64())}, IDS))


def ids(table: Table) -> list[int]:
    """Return the ids that a table holds, sorted."""
    return sorted(table.scan().to_arrow()["id"].to_pylist())
