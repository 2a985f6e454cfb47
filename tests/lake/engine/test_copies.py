"""Data, equality-delete and position-delete files in ORC and Avro beside Parquet ones."""

import datetime as dt
import itertools
import json
import re
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.orc as orc
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import DataError
from autostream.iceberg.manifests import data_file
from autostream.lake.engine.file_relations import POSITION_DELETE_SCHEMA
from autostream.lake.scan import scan_table
from tests.support.lakes import compact
from tests.support.rows import assert_same_rows

SIMPLE = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "region", StringType(), required=False),
    NestedField(3, "v", LongType(), required=False),
)
ALL = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "yes", BooleanType(), required=False),
    NestedField(3, "i", IntegerType(), required=False),
    NestedField(4, "f", FloatType(), required=False),
    NestedField(5, "d", DoubleType(), required=False),
    NestedField(6, "small", DecimalType(9, 2), required=False),
    NestedField(7, "big", DecimalType(38, 4), required=False),
    NestedField(8, "day", DateType(), required=False),
    NestedField(9, "ts", TimestampType(), required=False),
    NestedField(10, "tz", TimestamptzType(), required=False),
    NestedField(11, "s", StringType(), required=False),
    NestedField(12, "b", BinaryType(), required=False),
    NestedField(
        13, "st", StructType(NestedField(16, "x", IntegerType(), False), NestedField(17, "y", StringType(), False))
    ),
    NestedField(14, "l", ListType(18, StringType(), False), required=False),
    NestedField(15, "m", MapType(19, StringType(), 20, LongType(), False), required=False),
)
AVRO_ONLY = Schema(
    *ALL.fields,
    NestedField(21, "t", TimeType(), required=False),
    NestedField(22, "u", UUIDType(), required=False),
    NestedField(23, "fx", FixedType(3), required=False),
    NestedField(24, "im", MapType(25, IntegerType(), 26, ListType(27, UUIDType(), False), False), required=False),
)
FULL_ROW: dict[str, Any] = {
    "id": 1,
    "yes": True,
    "i": -5,
    "f": 1.5,
    "d": -0.0,
    "small": Decimal("-1234567.89"),
    "big": Decimal("1234567890123456789012345678901234.5678"),
    "day": dt.date(1969, 12, 31),
    "ts": dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
    "tz": dt.datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=dt.UTC),
    "s": "žluť",
    "b": b"\x00\xff",
    "st": {"x": 1, "y": None},
    "l": ["a", None],
    "m": [("k", 1), ("j", None)],
    "t": dt.time(23, 59, 59, 999999),
    "u": uuid.UUID(int=2**127 + 5),
    "fx": b"a\x00\xff",
    "im": [(1, [uuid.UUID(int=7), None]), (2, None)],
}
EMPTY_ROW = {"id": 3, "f": float("nan"), "s": "", "b": b"", "st": {"x": None, "y": None}, "l": [], "m": [], "im": []}


def rows_of(schema: Schema) -> list[dict[str, Any]]:
    """Return a row with everything, one of nulls, one of empty things."""
    return [{f.name: row.get(f.name) for f in schema.fields} for row in (FULL_ROW, {"id": 2}, EMPTY_ROW)]


# ------------------------------------------------------------------------------------- files as others write them

_numbers = itertools.count()


def write_orc(table: Table, schema: Schema, rows: Sequence[dict[str, Any]], *, with_ids: bool = True) -> Path:
    path = new_path(table, "orc")
    arrow = schema_to_pyarrow(schema, include_field_ids=True)
    plain = pa.Table.from_pylist(list(rows), without_metadata(arrow))
    orc.write_table(plain.cast(as_orc(arrow, with_ids)), path)
    return path


def without_metadata(schema: pa.Schema) -> pa.Schema:
    return as_orc(schema, False)


def as_orc(schema: pa.Schema, with_ids: bool) -> pa.Schema:
    """Return a schema with the field ids under the name that Iceberg's ORC writers use."""

    def field(f: pa.Field) -> pa.Field:
        ids = {b"iceberg.id": f.metadata[b"PARQUET:field_id"], b"iceberg.required": b"false"} if with_ids else None
        return pa.field(f.name, kind(f.type), f.nullable, ids)

    def kind(t: pa.DataType) -> pa.DataType:
        if pa.types.is_struct(t):
            return pa.struct([field(f) for f in t])
        if pa.types.is_map(t):
            return pa.map_(field(t.key_field), field(t.item_field))
        if pa.types.is_list(t) or pa.types.is_large_list(t):
            return pa.list_(field(t.value_field))
        if t == pa.large_string():
            return pa.string()
        return pa.binary() if t == pa.large_binary() else t

    return pa.schema([field(f) for f in schema])


def write_avro(
    table: Table, schema: Schema, rows: Sequence[dict[str, Any]], *, codec: str = "deflate", with_ids: bool = True
) -> Path:
    path = new_path(table, "avro")
    written = as_avro_schema(AvroSchemaConversion().iceberg_to_avro(schema, "table"))
    if not with_ids:
        written = json.loads(re.sub(r', "(field|element|key|value)-id": \d+', "", json.dumps(written)))
    records = [{f.name: as_avro(row.get(f.name), f.field_type) for f in schema.fields} for row in rows]
    with path.open("wb") as stream:
        fastavro.writer(stream, written, records, codec=codec, sync_interval=1000)
    return path


def as_avro_schema(avro: Any) -> Any:
    """Return an Avro schema as Java writes it: string-keyed maps as maps, null elements allowed, names unique."""
    if isinstance(avro, list):
        return [as_avro_schema(part) for part in avro]
    if not isinstance(avro, dict):
        return avro
    made = {key: as_avro_schema(item) if key in ("type", "items") else item for key, item in avro.items()}
    if made.get("type") == "fixed":
        made["name"] = f"{made['name']}_{next(_numbers)}"
    if "fields" in made:
        made["fields"] = [as_avro_schema(field) for field in made["fields"]]
    if made.get("logicalType") == "map":
        key, value = made["items"]["fields"]
        value["type"] = ["null", value["type"]]
        if key["type"] == "string":
            return {"type": "map", "values": value["type"], "key-id": key["field-id"], "value-id": value["field-id"]}
    elif made.get("type") == "array":
        made["items"] = ["null", made["items"]]
    return made


def as_avro(value: Any, field_type: IcebergType) -> Any:
    match field_type:
        case StructType() if value is not None:
            return {f.name: as_avro(value[f.name], f.field_type) for f in field_type.fields}
        case ListType() if value is not None:
            return [as_avro(item, field_type.element_type) for item in value]
        case MapType() if value is not None:
            pairs = [(as_avro(k, field_type.key_type), as_avro(v, field_type.value_type)) for k, v in value]
            of_strings = isinstance(field_type.key_type, StringType)
            return dict(pairs) if of_strings else [{"key": k, "value": v} for k, v in pairs]
        case UUIDType() if value is not None:
            return value.bytes
    return value


def new_path(table: Table, suffix: str) -> Path:
    folder = Path(table.location().removeprefix("file://")) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"foreign-{next(_numbers)}.{suffix}"


def describe(
    path: Path,
    records: int,
    *,
    content: DataFileContent = DataFileContent.DATA,
    spec_id: int = 0,
    partition: Sequence[Any] = (),
    equality_ids: list[int] | None = None,
) -> DataFile:
    return data_file(
        spec_id=spec_id,
        content=content,
        file_path=f"file://{path}",
        file_format=FileFormat(path.suffix[1:].upper()),
        partition=Record(*partition),
        record_count=records,
        file_size_in_bytes=path.stat().st_size,
        equality_ids=equality_ids,
    )


WRITERS: dict[str, Callable[[Table, Schema, Sequence[dict[str, Any]]], Path]] = {"orc": write_orc, "avro": write_avro}
FORMATS = pytest.mark.parametrize("form", WRITERS)


def add(table: Table, form: str, rows: Sequence[dict[str, Any]], schema: Schema | None = None) -> DataFile:
    """Commit one data file."""
    file = describe(WRITERS[form](table, schema or table.schema(), rows), len(rows))
    UpsertWriter(table).commit([file])
    table.refresh()
    return file


def simple_rows(*keys: int) -> list[dict[str, Any]]:
    return [{"id": key, "region": None if key % 3 == 0 else f"r{key}", "v": key * 10} for key in keys]


def ids(table: Table) -> list[int]:
    return sorted(scan_table(table).to_arrow()["id"].to_pylist())


# ------------------------------------------------------------------------------------- data files


@pytest.mark.parametrize(("form", "schema"), [("orc", ALL), ("avro", ALL), ("avro", AVRO_ONLY)])
def test_every_type_that_the_format_has(lake: SqlCatalog, form: str, schema: Schema) -> None:
    table = lake.create_table("db.t", schema)
    rows = rows_of(table.schema())
    add(table, form, rows)
    assert_same_rows(scan_table(table).to_batches(), rows)
    assert scan_table(table).count() == 3


@FORMATS
def test_compaction_makes_parquet_of_them(lake: SqlCatalog, form: str) -> None:
    table = lake.create_table("db.t", ALL)
    rows = rows_of(table.schema())
    for row in rows:
        add(table, form, [row])
    UpsertWriter(table).checkpoint(Changes(("id",), deletes=pa.table({"id": [2]})))
    assert compact(table).status == "committed"
    table.refresh()
    (task,) = table.scan().plan_files()
    assert task.file.file_format == FileFormat.PARQUET
    assert_same_rows(scan_table(table).to_batches(), [rows[0], rows[2]])


@FORMATS
def test_deletes_apply_by_key_and_by_row_number(lake: SqlCatalog, form: str) -> None:
    table = lake.create_table("db.t", SIMPLE)
    file = add(table, form, simple_rows(*range(25_000)))  # several batches and blocks
    writer = UpsertWriter(table)
    writer.commit(deletes=[writer.files.write_position_deletes([(file, [0, 7, 12_345, 24_999])])])
    writer.checkpoint(Changes(("region",), deletes=pa.table({"region": ["r1", "r20000"]})))
    gone = {0, 7, 12_345, 24_999, 1, 20_000}
    assert ids(table) == [i for i in range(25_000) if i not in gone]
    assert scan_table(table).count() == 25_000 - len(gone)
    assert scan_table(table, where="id >= 24999").count() == 0


@FORMATS
def test_counting_what_only_position_deletes_touch_needs_no_column(lake: SqlCatalog, form: str) -> None:
    table = lake.create_table("db.t", SIMPLE)
    file = add(table, form, simple_rows(1, 2, 3))
    writer = UpsertWriter(table)
    writer.commit(deletes=[writer.files.write_position_deletes([(file, [1])])])
    assert scan_table(table).count() == 2


@FORMATS
def test_columns_renamed_promoted_dropped_and_added(lake: SqlCatalog, form: str) -> None:
    schema = Schema(
        NestedField(1, "id", IntegerType(), required=True),
        NestedField(2, "f", FloatType(), required=False),
        NestedField(3, "gone", StringType(), required=False),
        NestedField(4, "st", StructType(NestedField(5, "x", IntegerType(), False)), required=False),
    )
    table = lake.create_table("db.t", schema)
    add(table, form, [{"id": 1, "f": 1.5, "gone": "x", "st": {"x": 1}}, {"id": 2, "f": None, "gone": None, "st": None}])
    with table.update_schema() as update:
        update.update_column("id", field_type=LongType())
        update.update_column("f", field_type=DoubleType())
        update.rename_column("f", "g")
        update.delete_column("gone")
        update.add_column("new", StringType())
        update.rename_column("st.x", "y")
        update.add_column(("st", "z"), LongType())
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("id",), deletes=pa.table({"id": pa.array([1 << 40], pa.int64())})))
    expected = [
        {"id": 1, "g": 1.5, "st": {"y": 1, "z": None}, "new": None},
        {"id": 2, "g": None, "st": None, "new": None},
    ]
    assert_same_rows(scan_table(table).to_batches(), expected)
    writer.checkpoint(Changes(("id", "new"), deletes=pa.table({"id": [1], "new": pa.array([None], pa.string())})))
    assert ids(table) == [2]


@FORMATS
def test_a_dropped_equality_column_still_deletes(lake: SqlCatalog, form: str) -> None:
    table = lake.create_table("db.t", SIMPLE)
    add(table, form, simple_rows(1, 2, 3))
    UpsertWriter(table).checkpoint(Changes(("region",), deletes=pa.table({"region": ["r2", None]})))
    with table.update_schema() as update:
        update.delete_column("region")
    assert ids(table) == [1]


@FORMATS
def test_an_equality_column_in_a_struct(lake: SqlCatalog, form: str) -> None:
    struct = StructType(NestedField(3, "x", LongType(), required=False))
    table = lake.create_table(
        "db.t", Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "st", struct, required=False))
    )
    add(table, form, [{"id": 1, "st": {"x": 1}}, {"id": 2, "st": {"x": 2}}, {"id": 3, "st": None}])
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("st.x",), deletes=pa.table({"st": [{"x": 2}]})))
    assert ids(table) == [1, 3]


@FORMATS
def test_a_column_that_the_file_lacks_has_the_value_of_its_identity_partition(lake: SqlCatalog, form: str) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "region"))
    table = lake.create_table("db.t", SIMPLE, partition_spec=spec)
    narrow = Schema(*(f for f in table.schema().fields if f.name != "region"))
    path = WRITERS[form](table, narrow, simple_rows(1, 2))
    writer = UpsertWriter(table)
    writer.commit([describe(path, 2, partition=["eu"])])
    assert scan_table(table).to_arrow()["region"].to_pylist() == ["eu", "eu"]
    writer.checkpoint(Changes(("id", "region"), deletes=pa.table({"id": [1, 2], "region": ["eu", "us"]})))
    assert ids(table) == [2]


def test_orc_files_without_ids_are_read_by_the_name_mapping(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    mapping = [
        {"field-id": 1, "names": ["id"]},
        {"field-id": 2, "names": ["zone", "region"]},
        {"field-id": 3, "names": ["v"]},
    ]
    with table.transaction() as transaction:
        transaction.set_properties({"schema.name-mapping.default": json.dumps(mapping)})
    written = Schema(
        *(NestedField(f.field_id, "zone" if f.name == "region" else f.name, f.field_type) for f in SIMPLE.fields)
    )
    path = write_orc(table, written, [{"id": 1, "zone": "a", "v": 5}], with_ids=False)
    UpsertWriter(table).commit([describe(path, 1)])
    assert scan_table(table).to_arrow().to_pylist() == [{"id": 1, "region": "a", "v": 5}]


def test_times_of_orc_are_numbers_by_another_name(lake: SqlCatalog) -> None:
    table = lake.create_table(
        "db.t", Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "t", TimeType()))
    )
    path = new_path(table, "orc")
    attributes = {b"iceberg.id": b"2", b"iceberg.long-type": b"TIME"}
    fields = [
        pa.field("id", pa.int64(), metadata={b"iceberg.id": b"1"}),
        pa.field("t", pa.int64(), metadata=attributes),
    ]
    orc.write_table(pa.table({"id": [1, 2], "t": [3_600_000_001, None]}).cast(pa.schema(fields)), path)
    UpsertWriter(table).commit([describe(path, 2)])
    assert_same_rows(scan_table(table).to_batches(), [{"id": 1, "t": dt.time(1, 0, 0, 1)}, {"id": 2, "t": None}])


@FORMATS
def test_a_file_without_ids_and_no_mapping_is_refused_by_name(lake: SqlCatalog, form: str) -> None:
    table = lake.create_table("db.t", SIMPLE)
    if form == "orc":
        path = write_orc(table, SIMPLE, simple_rows(1), with_ids=False)
    else:
        path = write_avro(table, SIMPLE, simple_rows(1), with_ids=False)
    UpsertWriter(table).commit([describe(path, 1)])
    with pytest.raises(DataError, match=re.escape(str(path))):
        scan_table(table).to_arrow()


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2"])
def test_codecs_of_avro(lake: SqlCatalog, codec: str) -> None:
    table = lake.create_table("db.t", SIMPLE)
    rows = simple_rows(*range(100))
    UpsertWriter(table).commit([describe(write_avro(table, SIMPLE, rows, codec=codec), 100)])
    assert_same_rows(scan_table(table).to_batches(), rows)


def test_all_formats_in_one_table(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", SIMPLE)
    add(table, "orc", simple_rows(1, 2))
    add(table, "avro", simple_rows(3, 4))
    writer = UpsertWriter(table)
    writer.checkpoint(Changes(("id",), upserts=pa.Table.from_pylist(simple_rows(5, 6, 1, 3))))
    writer.checkpoint(Changes(("id",), deletes=pa.table({"id": [2, 6]})))
    assert_same_rows(scan_table(table).to_batches(), simple_rows(1, 3, 4, 5))


# ------------------------------------------------------------------------------------- delete files


@pytest.fixture
def ten(lake: SqlCatalog) -> tuple[Table, DataFile]:
    """A table of the ids 0 to 9 in one Parquet file."""
    table = lake.create_table("db.t", SIMPLE)
    writer = UpsertWriter(table)
    (file,) = writer.files.write_data(pa.Table.from_pylist(simple_rows(*range(10))))
    writer.commit([file])
    table.refresh()
    return table, file


@FORMATS
def test_equality_deletes(ten: tuple[Table, DataFile], form: str) -> None:
    table, _ = ten
    keys = [{"id": 4, "region": "r4"}, {"id": 3, "region": None}, {"id": 5, "region": None}]
    path = WRITERS[form](table, Schema(*SIMPLE.fields[:2]), keys)
    file = describe(path, 3, content=DataFileContent.EQUALITY_DELETES, equality_ids=[2, 1])
    UpsertWriter(table).commit(deletes=[file])
    assert ids(table) == [0, 1, 2, 5, 6, 7, 8, 9]


@FORMATS
def test_position_deletes(ten: tuple[Table, DataFile], form: str) -> None:
    table, data = ten
    paths = [data.file_path, data.file_path.replace("file://", "file:"), "file:///other"]
    positions = [{"file_path": path, "pos": pos} for path, pos in zip(paths, (2, 5, 7), strict=True)]
    path = WRITERS[form](table, POSITION_DELETE_SCHEMA, positions)
    UpsertWriter(table).commit(deletes=[describe(path, 3, content=DataFileContent.POSITION_DELETES)])
    assert ids(table) == [0, 1, 3, 4, 6, 7, 8, 9]


@FORMATS
def test_compaction_applies_them(ten: tuple[Table, DataFile], form: str) -> None:
    table, data = ten
    keys = WRITERS[form](table, Schema(SIMPLE.fields[0]), [{"id": 1}])
    positions = WRITERS[form](table, POSITION_DELETE_SCHEMA, [{"file_path": data.file_path, "pos": 0}])
    UpsertWriter(table).commit(
        deletes=[
            describe(keys, 1, content=DataFileContent.EQUALITY_DELETES, equality_ids=[1]),
            describe(positions, 1, content=DataFileContent.POSITION_DELETES),
        ]
    )
    result = compact(table)
    assert (result.status, result.rows_deleted, result.after.equality_delete_files) == ("committed", 2, 0)
    assert result.after.position_delete_files == 0
    table.refresh()
    assert ids(table) == list(range(2, 10))


@FORMATS
def test_an_equality_delete_file_without_its_column_is_named(ten: tuple[Table, DataFile], form: str) -> None:
    """Read as NULL it would delete the rows without a region."""
    table, _ = ten
    path = WRITERS[form](table, Schema(SIMPLE.fields[0]), [{"id": 3}])
    file = describe(path, 1, content=DataFileContent.EQUALITY_DELETES, equality_ids=[1, 2])
    UpsertWriter(table).commit(deletes=[file])
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}.*field id 2"):
        scan_table(table).to_arrow()


# ------------------------------------------------------------------------------------- damage


@FORMATS
@pytest.mark.parametrize("kind", ["data", "keys", "positions"])
@pytest.mark.parametrize("damage", ["missing", "cut", "garbage"])
def test_a_damaged_file_is_named(ten: tuple[Table, DataFile], form: str, kind: str, damage: str) -> None:
    table, data = ten
    writer = UpsertWriter(table)
    if kind == "data":
        path = WRITERS[form](table, SIMPLE, simple_rows(*range(50)))
        writer.commit([describe(path, 50)])
    elif kind == "keys":
        path = WRITERS[form](table, Schema(SIMPLE.fields[0]), [{"id": i} for i in range(50)])
        writer.commit(deletes=[describe(path, 50, content=DataFileContent.EQUALITY_DELETES, equality_ids=[1])])
    else:
        path = WRITERS[form](
            table, POSITION_DELETE_SCHEMA, [{"file_path": data.file_path, "pos": i} for i in range(50)]
        )
        writer.commit(deletes=[describe(path, 50, content=DataFileContent.POSITION_DELETES)])
    raw = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(raw[: len(raw) // 2] if damage == "cut" else b"\1" * len(raw))
    with pytest.raises(DataError, match=re.escape(str(path))) as raised:
        scan_table(table).to_arrow()
    assert "estore" in str(raised.value)


@FORMATS
def test_a_file_with_other_rows_than_committed_is_named(lake: SqlCatalog, form: str) -> None:
    table = lake.create_table("db.t", SIMPLE)
    path, other = (WRITERS[form](table, SIMPLE, simple_rows(*numbers)) for numbers in ((1, 2, 3), (1, 2)))
    UpsertWriter(table).commit([describe(path, 3)])
    other.rename(path)
    with pytest.raises(
        DataError, match=rf"{re.escape(str(path))} has 2 rows in \d+ bytes, but its manifest says 3 rows in"
    ):
        scan_table(table).to_arrow()
