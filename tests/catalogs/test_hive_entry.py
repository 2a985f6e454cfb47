"""What a commit writes into the metastore beside the pointer: what Java writes, and nothing that it did not change.

The right parameters are those that HiveCatalog of Iceberg 1.11.0 (Java) left after an append to the same table.
"""

import copy
from typing import Any

import pytest
from hive_metastore.ttypes import FieldSchema, SerDeInfo, StorageDescriptor
from hive_metastore.ttypes import Table as HiveTable
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.table.update import AddSnapshotUpdate, SetSnapshotRefUpdate, update_table_metadata
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import (
    DecimalType,
    FixedType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from autostream.catalogs.hive_entry import LOCAL_TIME_ZONE, columns, hive_reads, schema_json, update_entry
from autostream.errors import ConfigurationError

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True, doc="the 钥"),
    NestedField(2, "ts", TimestamptzType()),
    NestedField(3, "l", ListType(5, StructType(NestedField(6, "x", DecimalType(9, 2))), False)),
    NestedField(4, "m", MapType(7, StringType(), 8, FixedType(16), True)),
    identifier_field_ids=[1],
)
JAVA_SCHEMA = (
    '{"type":"struct","schema-id":0,"identifier-field-ids":[1],"fields":[{"id":1,"name":"id","required":true,'
    '"type":"long","doc":"the 钥"},{"id":2,"name":"ts","required":false,"type":"timestamptz"},{"id":3,"name":"l",'
    '"required":false,"type":{"type":"list","element-id":5,"element":{"type":"struct","fields":[{"id":6,"name":"x",'
    '"required":false,"type":"decimal(9, 2)"}]},"element-required":false}},{"id":4,"name":"m","required":false,"type":'
    '{"type":"map","key-id":7,"key":"string","value-id":8,"value":"fixed[16]","value-required":true}}]}'
)
SUMMARY = {"added-data-files": "1", "total-records": "7", "total-files-size": "10", "total-data-files": "3"}
PROPERTIES = {"format-version": "2", "gc.enabled": "true", "owner.team": "trade"}
HIVE_FORMATS = "org.apache.iceberg.mr.hive.HiveIcebergSerDe"
PLAIN_FORMATS = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"


def metadata(schema: Schema = SCHEMA, *, snapshot: bool = True, **properties: str) -> TableMetadata:
    made = new_table_metadata(
        schema,
        PartitionSpec(PartitionField(1, 1000, BucketTransform(4), "b")),
        SortOrder(SortField(1, transform=IdentityTransform())),
        "file:/w/db/t",
        PROPERTIES | properties,
    )
    if not snapshot:
        return made
    added = Snapshot(
        snapshot_id=77,
        sequence_number=1,
        timestamp_ms=made.last_updated_ms,
        manifest_list="file:/w/m.avro",
        summary=Summary(Operation.APPEND, **SUMMARY),
        schema_id=0,
    )
    ref = SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=77)
    return update_table_metadata(made, (AddSnapshotUpdate(snapshot=added), ref))


def entry(**parameters: str) -> HiveTable:
    storage = StorageDescriptor(
        cols=[FieldSchema("id", "bigint", "a comment of Hive's"), FieldSchema("ts", "timestamp", None)],
        location="hdfs://other/name/of/it",
        inputFormat="in",
        outputFormat="out",
        numBuckets=-1,
        serdeInfo=SerDeInfo(name="s", serializationLib=HIVE_FORMATS, parameters={"serialization.format": "1"}),
        bucketCols=[],
        parameters={"x": "y"},
    )
    return HiveTable("t", "db", "alice", 1, 2, 3, storage, [], {"EXTERNAL": "TRUE", "theirs": "1", **parameters})


def committed(before: HiveTable, base: TableMetadata | None, new: TableMetadata, **catalog: str) -> HiveTable:
    return update_entry(
        before,
        base=base,
        new=new,
        location="file:/w/2.json",
        base_location="file:/w/1.json" if base else None,
        catalog=catalog,
        has_local_time_zone=lambda: True,
    )


def test_parameters_are_javas() -> None:
    base, new = metadata(snapshot=False, gone="x"), metadata()
    before = entry(gone="x", COLUMN_STATS_ACCURATE="{}", **{"current-snapshot-id": "1", "numRows": "1"})
    assert committed(before, base, new).parameters == {
        "EXTERNAL": "TRUE",
        "theirs": "1",
        "owner.team": "trade",
        "external.table.purge": "true",
        "uuid": str(new.table_uuid),
        "table_type": "ICEBERG",
        "metadata_location": "file:/w/2.json",
        "previous_metadata_location": "file:/w/1.json",
        "DO_NOT_UPDATE_STATS": "true",
        "numFiles": "3",
        "numRows": "7",
        "totalSize": "10",
        "snapshot-count": "1",
        "current-snapshot-id": "77",
        "current-snapshot-timestamp-ms": str(new.snapshots[0].timestamp_ms),
        "current-snapshot-summary": '{"added-data-files":"1","total-records":"7","total-files-size":"10",'
        '"total-data-files":"3"}',
        "current-schema": JAVA_SCHEMA,
        "default-partition-spec": '{"spec-id":0,"fields":[{"name":"b","transform":"bucket[4]","source-id":1,'
        '"field-id":1000}]}',
        "default-sort-order": '{"order-id":1,"fields":[{"transform":"identity","source-id":1,"direction":"asc",'
        '"null-order":"nulls-first"}]}',
    }


def test_the_order_of_members_is_javas() -> None:
    assert schema_json(metadata().schema()) == JAVA_SCHEMA


@pytest.mark.parametrize(("size", "left"), [("0", set()), ("150", {"spec", "order", "id", "time", "summary"})])
def test_long_parameters_are_left_out(size: str, left: set[str]) -> None:
    names = {
        "schema": "current-schema",
        "spec": "default-partition-spec",
        "order": "default-sort-order",
        "id": "current-snapshot-id",
        "time": "current-snapshot-timestamp-ms",
        "summary": "current-snapshot-summary",
    }
    before = entry(**dict.fromkeys(names.values(), "old"))
    made = committed(before, metadata(), metadata(), **{"iceberg.hive.table-property-max-size": size}).parameters
    assert {name for name, key in names.items() if key in made} == left
    assert "old" not in made.values()
    assert made["snapshot-count"] == "1"


def test_statistics_are_kept_on_request() -> None:
    made = committed(entry(COLUMN_STATS_ACCURATE="{}"), metadata(), metadata(), **{"iceberg.hive.keep.stats": "true"})
    assert made.parameters["COLUMN_STATS_ACCURATE"] == "{}"
    assert "DO_NOT_UPDATE_STATS" not in made.parameters


def test_a_size_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match=r"iceberg.hive.table-property-max-size is 'much'"):
        committed(entry(), None, metadata(), **{"iceberg.hive.table-property-max-size": "much"})


def test_what_a_commit_does_not_change_stays() -> None:
    before = entry(storage_handler="their.Handler")
    kept = copy.deepcopy(before)
    after = committed(before, metadata(snapshot=False), metadata())
    assert before == kept
    assert after.sd == before.sd
    assert after.parameters["storage_handler"] == "their.Handler"
    after.parameters = before.parameters
    assert after == before


@pytest.mark.parametrize(
    ("table", "of_base", "catalog", "reads"),
    [
        (None, None, {}, None),
        (None, None, {"iceberg.engine.hive.enabled": "true"}, True),
        (None, None, {"engine.hive.enabled": "false"}, False),
        ("true", "true", {"iceberg.engine.hive.enabled": "false"}, True),
        ("FALSE", "true", {"iceberg.engine.hive.enabled": "true"}, False),
        (None, "true", {}, False),  # removed: back to the default
    ],
)
def test_who_says_whether_hive_reads_a_table(
    table: str | None, of_base: str | None, catalog: dict[str, str], *, reads: bool | None
) -> None:
    def with_property(value: str | None) -> TableMetadata:
        return metadata(**({} if value is None else {"engine.hive.enabled": value}))

    base, new = with_property(of_base), with_property(table)
    assert hive_reads(base, new, catalog) is reads
    after = committed(entry(storage_handler="h"), base, new, **catalog)
    expected: Any = {
        None: ("in", HIVE_FORMATS, "h"),
        True: (
            "org.apache.iceberg.mr.hive.HiveIcebergInputFormat",
            HIVE_FORMATS,
            "org.apache.iceberg.mr.hive.HiveIcebergStorageHandler",
        ),
        False: ("org.apache.hadoop.mapred.FileInputFormat", PLAIN_FORMATS, None),
    }[reads]
    handler = after.parameters.get("storage_handler")
    assert (after.sd.inputFormat, after.sd.serdeInfo.serializationLib, handler) == expected
    assert after.sd.serdeInfo.parameters == {"serialization.format": "1"}


def test_a_new_table_is_not_for_hive_unless_a_property_says_so() -> None:
    assert hive_reads(None, metadata(), {}) is False


# ------------------------------------------------------------------------------------------------ columns
OLD = [NestedField(1, "Id", LongType(), doc="key"), NestedField(2, "ts", TimestamptzType())]
IN_HIVE = [FieldSchema("id", "bigint", "theirs"), FieldSchema("ts", "timestamp", None)]


def as_text(found: list[FieldSchema]) -> list[tuple[str, str, str | None]]:
    return [(column.name, column.type, column.comment) for column in found]


def never() -> bool:
    raise AssertionError("asked without need")


@pytest.mark.parametrize(
    ("new", "local_time_zone", "expected"),
    [
        (OLD, None, [("id", "bigint", "theirs"), ("ts", "timestamp", None)]),
        (OLD[1:], None, [("ts", "timestamp", None)]),
        (OLD[::-1], None, [("ts", "timestamp", None), ("id", "bigint", "theirs")]),
        (
            [*OLD, NestedField(3, "n", StringType(), doc="new")],
            None,
            [("id", "bigint", "theirs"), ("ts", "timestamp", None), ("n", "string", "new")],
        ),
        ([NestedField(1, "key", LongType()), OLD[1]], None, [("key", "bigint", None), ("ts", "timestamp", None)]),
        ([OLD[0], NestedField(2, "ts", TimestamptzType(), doc="d")], False, [IN_HIVE[0], ("ts", "timestamp", "d")]),
        ([OLD[0], NestedField(2, "ts", TimestamptzType(), doc="d")], True, [IN_HIVE[0], ("ts", LOCAL_TIME_ZONE, "d")]),
        (
            [NestedField(9, "l", ListType(10, StructType(NestedField(11, "t", TimestamptzType())), False))],
            False,
            [("l", "array<struct<t:timestamp>>", None)],
        ),
    ],
)
def test_columns(new: list[NestedField], local_time_zone: bool | None, expected: list[Any]) -> None:
    asked = never if local_time_zone is None else lambda: bool(local_time_zone)
    found = columns(IN_HIVE, Schema(*OLD), Schema(*new), asked)
    assert as_text(found) == [as_text([e])[0] if isinstance(e, FieldSchema) else e for e in expected]


def test_columns_that_differ_from_the_schema_stay_while_it_does() -> None:
    dummy = [FieldSchema("dummy", "string", "")]
    assert columns(dummy, Schema(*OLD), Schema(*OLD), never) == dummy
