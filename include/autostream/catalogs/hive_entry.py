"""What the metastore keeps of an Iceberg table beside its pointer: columns, formats and parameters. Pure.

Iceberg's Java writers (`HiveTableOperations`) write all of it again with each commit. Here only that is written which
the commit changes: the rest is as Hive or the table's owner left it, and Hive may read the table by it.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from hive_metastore.ttypes import FieldSchema, StorageDescriptor
from hive_metastore.ttypes import Table as HiveTable
from pyiceberg.catalog.hive import SchemaToHiveConverter
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema, visit
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.sorting import SortOrder
from pyiceberg.types import NestedField

from autostream.properties import Properties

METADATA_LOCATION: Final = "metadata_location"
ENGINE_HIVE: Final = "engine.hive.enabled"
"""Iceberg's table property: Hive reads the table. Of a catalog, and of Hadoop's configuration: `iceberg.` before it."""
MAX_SIZE: Final = "iceberg.hive.table-property-max-size"
KEEP_STATS: Final = "iceberg.hive.keep.stats"
LOCAL_TIME_ZONE: Final = "timestamp with local time zone"
"""Hive's type of Iceberg's `timestamptz`, from Hive 3 on; before, `timestamp`."""

_DEFAULT_MAX_SIZE: Final = 32672
_STORAGE_HANDLER: Final = "storage_handler"
_OWNER: Final = "hive.metastore.table.owner"
_HMS_NAMES: Final[Mapping[str, str]] = {"gc.enabled": "external.table.purge"}
_FORMATS: Final = {
    True: (
        "org.apache.iceberg.mr.hive.HiveIcebergInputFormat",
        "org.apache.iceberg.mr.hive.HiveIcebergOutputFormat",
        "org.apache.iceberg.mr.hive.HiveIcebergSerDe",
    ),
    False: (
        "org.apache.hadoop.mapred.FileInputFormat",
        "org.apache.hadoop.mapred.FileOutputFormat",
        "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
    ),
}
_OF_SNAPSHOT: Final = ("current-snapshot-id", "current-snapshot-timestamp-ms", "current-snapshot-summary")
_STATISTICS: Final = {"numFiles": "total-data-files", "numRows": "total-records", "totalSize": "total-files-size"}

_logger = logging.getLogger(__name__)


def update_entry(
    entry: HiveTable,
    *,
    base: TableMetadata | None,
    new: TableMetadata,
    location: str,
    base_location: str | None,
    catalog: Mapping[str, str],
    has_local_time_zone: Callable[[], bool],
) -> HiveTable:
    """Return the metastore's table as it is to be after a commit.

    Args:
        entry: as it is; of a new table, what it begins with.
        base: the metadata that the commit is made upon; None for a new table.
        new: the metadata that it makes.
        location: of the new metadata file.
        base_location: of the base's.
        catalog: the catalog's properties.
        has_local_time_zone: says whether the metastore knows that type; asked only where a column needs it.

    Raises:
        ConfigurationError: a property of the catalog is wrong.
    """
    enabled = hive_reads(base, new, catalog)
    updated = copy.deepcopy(entry)
    updated.sd = _storage(updated.sd, base, new, enabled, has_local_time_zone)
    updated.parameters = _parameters(entry.parameters or {}, base, new, enabled, catalog)
    updated.parameters[METADATA_LOCATION] = location
    if base_location:
        updated.parameters["previous_metadata_location"] = base_location
    return updated


def hive_reads(base: TableMetadata | None, new: TableMetadata, catalog: Mapping[str, str]) -> bool | None:
    """Say whether Hive is to read a table; None where nobody says, and formats stay as they are.

    Java reads the table's property, else its own Hadoop configuration, which is not known here; the catalog's
    properties stand for it.
    """
    for properties, key in ((new.properties, ENGINE_HIVE), (catalog, f"iceberg.{ENGINE_HIVE}"), (catalog, ENGINE_HIVE)):
        said = Properties("", properties)
        if key in said:
            return said.is_true(key)
    # A new table, or one whose property has just been removed: Java's default.
    return False if base is None or ENGINE_HIVE in base.properties else None


def _storage(
    storage: StorageDescriptor | None,
    base: TableMetadata | None,
    new: TableMetadata,
    enabled: bool | None,
    has_local_time_zone: Callable[[], bool],
) -> StorageDescriptor:
    storage = storage or StorageDescriptor()
    storage.cols = columns(storage.cols or [], base.schema() if base else None, new.schema(), has_local_time_zone)
    if base is None or base.location != new.location:
        storage.location = new.location
    if enabled is not None and storage.serdeInfo is not None:
        storage.inputFormat, storage.outputFormat, storage.serdeInfo.serializationLib = _FORMATS[enabled]
    return storage


def columns(
    existing: Sequence[FieldSchema], base: Schema | None, new: Schema, has_local_time_zone: Callable[[], bool]
) -> list[FieldSchema]:
    """Return a table's columns for the metastore: those that it has where the commit does not change them.

    They may differ from the schema for good reasons: metastores before 3 have no type for `timestamptz`, and some
    engines keep one column only.
    """
    wanted = [_described(field) for field in new.fields]
    before = {} if base is None else {field.name: _described(field) for field in base.fields}
    if wanted == list(before.values()):
        return list(existing)
    kept = {column.name.lower(): column for column in existing}
    made = []
    for field, description in zip(new.fields, wanted, strict=True):
        name, kind, comment = description
        column = kept.get(name.lower()) if before.get(name) == description else None
        if column is None and LOCAL_TIME_ZONE in kind and not has_local_time_zone():
            kind = _hive_type(field, hive2=True)
        made.append(column or FieldSchema(name, kind, comment))
    return made


def _described(field: NestedField) -> tuple[str, str, str | None]:
    return field.name, _hive_type(field, hive2=False), field.doc


def _hive_type(field: NestedField, *, hive2: bool) -> str:
    return visit(field.field_type, SchemaToHiveConverter(hive2))


# ------------------------------------------------------------------------------------------------ parameters
def _parameters(
    existing: Mapping[str, str],
    base: TableMetadata | None,
    new: TableMetadata,
    enabled: bool | None,
    catalog: Mapping[str, str],
) -> dict[str, str]:
    """Return the parameters as Java writes them: Iceberg's are kept current, those of others stay."""
    made = dict(existing)
    made.update(
        {_HMS_NAMES.get(key, key): str(value) for key, value in new.properties.items() if key.lower() != _OWNER}
    )
    made["uuid"] = str(new.table_uuid)
    for key in (base.properties.keys() - new.properties.keys()) if base else ():
        made.pop(key, None)
    made["table_type"] = "ICEBERG"
    if enabled:
        made[_STORAGE_HANDLER] = "org.apache.iceberg.mr.hive.HiveIcebergStorageHandler"
    elif enabled is False:
        made.pop(_STORAGE_HANDLER, None)
    if not Properties("", catalog).is_true(KEEP_STATS):
        made.pop("COLUMN_STATS_ACCURATE", None)
        made["DO_NOT_UPDATE_STATS"] = "true"
    summary = _summary(new.current_snapshot())
    made.update({key: summary[total] for key, total in _STATISTICS.items() if total in summary})
    made["snapshot-count"] = str(len(new.snapshots))
    return made | _described_by_json(
        made,
        new,
        summary,
        Properties("", catalog, kind="catalog property").whole(MAX_SIZE, _DEFAULT_MAX_SIZE, minimum=0),
    )


def _described_by_json(
    made: dict[str, str], new: TableMetadata, summary: Mapping[str, str], limit: int
) -> dict[str, str]:
    """Return current snapshot, schema, partition spec and sort order as parameters, which are taken out of `made`."""
    snapshot, spec, order = new.current_snapshot(), new.spec(), new.sort_order()
    texts: dict[str, str | None] = dict.fromkeys(_OF_SNAPSHOT)
    if snapshot is not None:
        texts |= {
            "current-snapshot-id": str(snapshot.snapshot_id),
            "current-snapshot-timestamp-ms": str(snapshot.timestamp_ms),
            "current-snapshot-summary": _json(summary),
        }
    texts["current-schema"] = schema_json(new.schema())
    texts["default-partition-spec"] = None if spec.is_unpartitioned() else spec_json(spec)
    texts["default-sort-order"] = None if order.is_unsorted else order_json(order)
    for key in texts:
        made.pop(key, None)
    shown = {key: text for key, text in texts.items() if text is not None and limit > 0}
    for key in [key for key, text in shown.items() if len(text) > limit]:
        _logger.debug("Left out parameter %s: it has more than %d characters (%s).", key, limit, MAX_SIZE)
        del shown[key]
    return shown


def _summary(snapshot: Snapshot | None) -> dict[str, str]:
    """Return a snapshot's summary without its operation, which Java keeps apart."""
    if snapshot is None or snapshot.summary is None:
        return {}
    return {key: str(value) for key, value in snapshot.summary.additional_properties.items()}


def schema_json(schema: Schema) -> str:
    """Return a schema as Java writes it."""
    document = schema.model_dump(mode="json", by_alias=True, exclude_none=True)
    head: dict[str, Any] = {"type": "struct", "schema-id": schema.schema_id}
    if schema.identifier_field_ids:
        head["identifier-field-ids"] = list(schema.identifier_field_ids)
    return _json(head | {"fields": [_in_order(field) for field in document["fields"]]})


_FIELD: Final = ("id", "name", "required", "type", "doc", "initial-default", "write-default")
_TYPE: Final = ("type", "element-id", "element", "element-required", "key-id", "key", "value-id", "value")


def _in_order(document: Any) -> Any:
    """Return a field or type with its members in Java's order."""
    if isinstance(document, list):
        return [_in_order(entry) for entry in document]
    if not isinstance(document, dict):
        return document
    first = _FIELD if "id" in document else _TYPE
    names = [name for name in first if name in document]
    names += [name for name in document if name not in first]
    return {name: _in_order(document[name]) for name in names}


def spec_json(spec: PartitionSpec) -> str:
    """Return a partition spec as Java writes it."""
    fields = [
        {"name": f.name, "transform": str(f.transform), "source-id": f.source_id, "field-id": f.field_id}
        for f in spec.fields
    ]
    return _json({"spec-id": spec.spec_id, "fields": fields})


def order_json(order: SortOrder) -> str:
    """Return a sort order as Java writes it."""
    fields = [
        {
            "transform": str(f.transform),
            "source-id": f.source_id,
            "direction": f.direction.value,
            "null-order": f.null_order.value,
        }
        for f in order.fields
    ]
    return _json({"order-id": order.order_id, "fields": fields})


def _json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
