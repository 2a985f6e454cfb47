"""Files as others left them: read and compacted value for value, or refused in words that fit."""

import base64
import datetime as dt
import json
import math
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    YearTransform,
)
from pyiceberg.types import (
    BinaryType,
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
    UUIDType,
)

from autostream.catalogs.opening import open_table
from autostream.errors import ConfigurationError, DataError, UnsupportedFileError, UnsupportedTableError, UsageError
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.planning import plan_compaction
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.sql_text import read_parquet
from autostream.lake.scan import scan_table
from autostream.resources import EngineResources
from tests.lake.remote import MemoryFileIO
from tests.lake.strange import (
    ID,
    add,
    assert_kept,
    commit,
    compacted,
    described,
    folder,
    id_of,
    identified,
    set_mapping,
    table_of,
    values,
)
from tests.lake.writing import engine_in
from tests.support.lakes import compact

TEXT = NestedField(2, "s", StringType())


def column(field_type: IcebergType) -> NestedField:
    return NestedField(2, "x", field_type)


# ------------------------------------------------------------------- names and metadata that a reader interprets

GLOBS = ["v*", "v?", "v[1]", "**", "{a,b}", "v[!1]", "[*]", "~", "v%2A", "v'1", "v#1", "v\\1", "v 1", "v.gz", "é"]


def test_a_path_is_only_ever_the_one_file(lake: SqlCatalog) -> None:
    """The engine takes ``*``, ``?`` and ``[`` in local paths for patterns."""
    table = table_of(lake, ID, TEXT, by=(PartitionField(2, 1000, IdentityTransform(), "s"),))
    tried = [*GLOBS[:8], "v1", "v2"]
    for number, value in enumerate(tried):
        rows = identified(pa.table({"id": [number], "s": [value]}), id=1, s=2)
        add(table, rows, partition=(value,), path=folder(table) / f"s={value}" / "part-0.parquet")
    expected = list(range(len(tried)))
    assert sorted(values(table, "id")) == expected
    assert sorted(values(compacted(table), "id")) == expected


@pytest.mark.parametrize("below", ["a*//b", "a[/./b", "a?/../a*", "a//b"])
def test_a_path_written_in_a_roundabout_way(lake: SqlCatalog, below: str) -> None:
    table = table_of(lake, ID)
    for name in ("a*", "a?"):
        (folder(table) / name).mkdir()
    path = f"{folder(table)}/{below}/x.parquet"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(identified(pa.table({"id": [1]}), id=1), path)
    file = described(Path(path), 1)
    file._data[1] = f"file://{path}"
    assert file.file_path == f"file://{path}"
    commit(table, file)
    assert_kept(table, "id", [1])


def test_a_path_in_a_store_is_only_ever_the_one_file(tmp_path: Path) -> None:
    store = MemoryFileIO({})
    paths = [f"mem://b/s={value}/x.parquet" for value in [*GLOBS, "v1", "v2"]]
    for number, path in enumerate(paths):
        with store.new_output(path).create(overwrite=True) as sink:
            pq.write_table(pa.table({"x": [number]}), sink)
    with Engine(store, EngineResources(spill_directory=tmp_path)) as engine:
        assert [engine.path(path) for path in paths] == paths
        for number, path in enumerate(paths):
            assert engine.rows(f"SELECT x, filename FROM {read_parquet([path])}") == [(number, path)]
        ((_, found),) = engine.schemas(paths)
        assert sorted(found) == sorted(engine.measures(paths)) == sorted(paths)


def test_a_table_in_a_folder_like_a_pattern(lake: SqlCatalog, tmp_path: Path) -> None:
    table = lake.create_table("db.t", pa.schema([("id", pa.int64())]), location=f"file://{tmp_path}/a[b]*\\c")
    add(table, identified(pa.table({"id": [1, 2]}), id=1))
    assert_kept(table, "id", [1, 2])


GEO = {"version": "1.0.0", "primary_column": "x", "columns": {"x": {"encoding": "WKB", "geometry_types": ["Point"]}}}


@pytest.mark.parametrize(
    ("value", "metadata"),
    [
        (struct.pack("<BIddd", 1, 0x80000001, 1, 2, 3), {"geo": json.dumps(GEO)}),  # EWKB, which is not ISO's
        (struct.pack(">BIdd", 0, 1, 1, 2), {"geo": json.dumps(GEO)}),
        (b"\x00text", {"geo": json.dumps(GEO)}),
        (b"\x00text", {"geo": "no JSON"}),
        (b"\x00text", {"ARROW:schema": "no Arrow", "pandas": "{}", "iceberg.schema": "{}"}),
    ],
)
def test_metadata_of_a_file_change_no_bytes(lake: SqlCatalog, value: bytes, metadata: dict[str, str]) -> None:
    table = table_of(lake, ID, column(BinaryType()))
    rows = identified(pa.table({"id": [1], "x": pa.array([value], pa.binary())}), id=1, x=2)
    path = folder(table) / "x.parquet"
    with pq.ParquetWriter(path, rows.schema, store_schema=False) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata(metadata)
    commit(table, described(path, 1))
    assert_kept(table, "x", [value])


def test_what_arrow_remembers_of_its_types_changes_nothing(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, TEXT, NestedField(3, "n", LongType()))
    texts = pa.array(["b", "a", "b"]).dictionary_encode()
    durations = pa.array([1, 2, 3], pa.duration("us"))
    add(table, identified(pa.table({"id": [1, 2, 3], "s": texts, "n": durations}), id=1, s=2, n=3))
    assert values(table, "n") == [1, 2, 3]
    assert_kept(table, "s", ["a", "b", "b"])


@pytest.mark.parametrize("text", ['{"a" : 1', '{ "b":2,  "b":3 }'])
def test_json_is_kept_to_the_letter(lake: SqlCatalog, text: str) -> None:
    table = table_of(lake, ID, TEXT)
    stored = pa.ExtensionArray.from_storage(pa.json_(), pa.array([text]))
    schema = pa.schema([pa.field("id", pa.int64(), metadata=id_of(1)), pa.field("s", stored.type, metadata=id_of(2))])
    add(table, pa.table([pa.array([1]), stored], schema))
    assert_kept(table, "s", [text])


# How Parquet's footer says UTF8, and how it would say something else: both in its older and in its newer way.
UTF8 = "25004c1c0000"


@pytest.mark.parametrize(
    ("annotation", "field_type", "expected"),
    [
        ("25084c4c0000", StringType(), "RED"),  # ENUM
        ("25264ccc0000", StringType(), "RED"),  # JSON, which this is not
        ("25284cdc0000", BinaryType(), b"RED"),  # BSON
    ],
)
def test_annotated_bytes(lake: SqlCatalog, annotation: str, field_type: IcebergType, expected: Any) -> None:
    table = table_of(lake, column(field_type), mapped=True)
    path = folder(table) / "x.parquet"
    pq.write_table(pa.table({"x": ["RED"]}), path, store_schema=False)
    assert path.read_bytes().count(bytes.fromhex(UTF8)) == 1
    path.write_bytes(path.read_bytes().replace(bytes.fromhex(UTF8), bytes.fromhex(annotation)))
    commit(table, described(path, 1))
    assert_kept(table, "x", [expected])


def test_names_in_sql_are_no_variables(tmp_path: Path) -> None:
    given = pa.table({"x": [1]})
    with engine_in(tmp_path) as engine, pytest.raises(duckdb.CatalogException, match="given does not exist"):
        engine.connection.execute("SELECT * FROM given")
    assert given.num_rows == 1


@pytest.mark.parametrize(
    ("form", "name"), [("orc", "file_row_number"), ("orc", "C1"), ("parquet", "FILE_INDEX"), ("parquet", "c0")]
)
def test_unknown_columns_hide_nothing(lake: SqlCatalog, form: str, name: str) -> None:
    """They keep their names in a copy, where these could be taken for what the engine or the copy means by them."""
    table = table_of(lake, ID, TEXT)
    kind = b"iceberg.id" if form == "orc" else b"PARQUET:field_id"
    fields = [
        pa.field(name, pa.int64()),
        pa.field("id", pa.int64(), metadata={kind: b"1"}),
        pa.field("s", pa.string(), metadata={kind: b"2"}),
        pa.field("S", pa.string()),
    ]
    rows = pa.table([[7, 7, 7], [1, 2, 3], ["a", "b", "c"], ["x", "x", "x"]], pa.schema(fields))
    if form == "orc":
        path = folder(table) / "x.orc"
        orc.write_table(rows, path)
        commit(table, described(path, 3, form=FileFormat.ORC))
    else:
        path = folder(table) / "x.parquet"
        add(table, rows, path=path)
    delete = pa.table({"file_path": [f"file://{path}"], "pos": [1]})
    add(table, delete, content=DataFileContent.POSITION_DELETES)
    assert_kept(table, "s", ["a", "c"])


TWINS = StructType(NestedField(11, "x", LongType()), NestedField(12, "b", LongType()))


def stored_twins(table: Table, prefix: str) -> pa.DataType:
    """Return the type of TWINS in a file from before the table renamed `b` to `x` and `B` to `b`."""
    ids = [table.schema().find_field(f"{prefix}.{name}").field_id for name in ("x", "b")]
    return pa.struct([pa.field(n, pa.int64(), metadata=id_of(i)) for n, i in zip(("b", "B"), ids, strict=True)])


@pytest.mark.parametrize("within", ["struct", "list", "map", "struct in struct"])
def test_fields_in_a_file_that_differ_by_case_are_told_apart(lake: SqlCatalog, within: str) -> None:
    """To the engine they are one."""
    wanted, prefix = {
        "struct": (TWINS, "n"),
        "list": (ListType(4, TWINS, False), "n.element"),
        "map": (MapType(4, StringType(), 7, TWINS, False), "n.value"),
        "struct in struct": (StructType(NestedField(4, "in", TWINS)), "n.in"),
    }[within]
    table = table_of(lake, ID, NestedField(2, "n", wanted))
    twins, value, read = stored_twins(table, prefix), {"b": 1, "B": 2}, {"x": 1, "b": 2}
    inner = id_of(table.schema().find_field(prefix).field_id)
    stored, given, expected = {
        "struct": (twins, value, read),
        "list": (pa.list_(pa.field("element", twins)), [value], [read]),
        "map": (pa.map_(pa.string(), pa.field("value", twins)), [("k", value)], [("k", read)]),
        "struct in struct": (pa.struct([pa.field("in", twins, metadata=inner)]), {"in": value}, {"in": read}),
    }[within]
    add(table, identified(pa.table({"id": [1, 2], "n": pa.array([given, None], stored)}), id=1, n=2))
    assert_kept(table, "n", sorted([None, expected], key=repr))


def test_a_key_that_differs_from_another_by_case(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, NestedField(2, "n", TWINS))
    twins, key = stored_twins(table, "n"), table.schema().find_field("n.b").field_id
    data, deletes = [{"b": 1, "B": 2}, {"b": 2, "B": 1}], [{"b": 9, "B": 2}]
    add(table, identified(pa.table({"id": [0, 1], "n": pa.array(data, twins)}), id=1, n=2))
    add(table, identified(pa.table({"id": [0], "n": pa.array(deletes, twins)}), id=1, n=2), equality_ids=[key])
    assert_kept(table, "id", [1])


def test_a_key_is_not_what_has_its_id_elsewhere(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, NestedField(2, "n", StructType(NestedField(3, "a", LongType()))))
    key = table.schema().find_field("n.a").field_id
    other = pa.struct([pa.field("z", pa.int64(), metadata=id_of(99))])
    rows = pa.table({"q": [7, 8], "id": [1, 2], "n": pa.array([{"z": 1}, {"z": 2}], other)})
    add(table, identified(rows, q=key, id=1, n=2))
    stored = pa.struct([pa.field("a", pa.int64(), metadata=id_of(key))])
    add(table, identified(pa.table({"id": [1], "n": pa.array([{"a": 7}], stored)}), id=1, n=2), equality_ids=[key])
    assert_kept(table, "id", [1, 2])


# -------------------------------------------------------------------------- what only the partition says of a field


def test_a_field_in_a_struct_that_only_the_partition_says(lake: SqlCatalog) -> None:
    """The spec gives it the partition's value, in rows and as a key, and a null struct has no fields."""
    struct = StructType(NestedField(3, "a", LongType()), NestedField(4, "b", LongType()))
    by = [PartitionField(3, 1000, IdentityTransform(), "a")]
    table = table_of(lake, ID, NestedField(2, "n", struct), by=by)
    a, b = (table.schema().find_field(f"n.{name}").field_id for name in "ab")
    stored = pa.struct([pa.field("b", pa.int64(), metadata=id_of(b))])
    rows = pa.table({"id": [1, 2, 3], "n": pa.array([{"b": 1}, None, {"b": None}], stored)})
    add(table, identified(rows, id=1, n=2), partition=[7])
    add(table, identified(rows.select(["id"]).slice(1, 1), id=1), partition=[7])
    expected = [{"a": 7, "b": 1}, {"a": 7, "b": None}, None, None]
    assert values(table, "n") == sorted(expected, key=repr)
    key = pa.table({"id": [3], "n": pa.array([{"a": 7}], pa.struct([pa.field("a", pa.int64(), metadata=id_of(a))]))})
    add(table, identified(key, id=1, n=2), partition=[7], equality_ids=[a])
    assert_kept(table, "n", [None, None])


# ------------------------------------------------------------------------------------------- keys that are equal


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
@pytest.mark.parametrize("nested", [False, True])
def test_floating_point_keys_are_compared_as_java_does(lake: SqlCatalog, kind: pa.DataType, nested: bool) -> None:
    """The zeros are two, NaN is one. The spec forbids such keys, and writers have them."""
    column = NestedField(2, "k", FloatType() if kind == pa.float32() else DoubleType())
    table = table_of(lake, ID, NestedField(2, "n", StructType(column)) if nested else column)
    key = table.schema().find_field("n.k" if nested else "k").field_id

    def stored(numbers: list[Any]) -> pa.Table:
        keys = pa.array(numbers, kind)
        if nested:
            keys = pa.StructArray.from_arrays([keys], fields=[pa.field("k", kind, metadata=id_of(key))])
        return identified(pa.table({"id": range(len(numbers)), "k": keys}), id=1, k=2)

    add(table, stored([0.0, -0.0, math.nan, -math.nan, None, 1.5]))
    add(table, stored([-0.0, math.nan]), equality_ids=[key])
    assert_kept(table, "id", [0, 4, 5])


# ------------------------------------------------------------------------------- field ids on some columns only

DEEP = StructType(
    NestedField(4, "a", LongType()),
    NestedField(5, "l", ListType(6, StructType(NestedField(7, "b", LongType())), False)),
)
PLAIN_DEEP = pa.struct([("a", pa.int64()), ("l", pa.list_(pa.struct([("b", pa.int64())])))])
DEEP_VALUE = {"a": 5, "l": [{"b": 6}]}
PARTS: dict[str, tuple[NestedField, pa.Array, tuple[str, ...], list[Any]]] = {
    "a column": (TEXT, pa.array(["x"]), (), ["x"]),
    "a column and all in it": (NestedField(3, "st", DEEP), pa.array([DEEP_VALUE], PLAIN_DEEP), (), [DEEP_VALUE]),
    "what is in a column": (NestedField(3, "st", DEEP), pa.array([DEEP_VALUE], PLAIN_DEEP), ("st",), [DEEP_VALUE]),
}


@pytest.mark.parametrize("part", PARTS)
def test_what_has_no_id_is_read_by_the_name_mapping(lake: SqlCatalog, part: str) -> None:
    field, stored, with_id, expected = PARTS[part]
    table = table_of(lake, ID, field, mapped=True)
    add(table, identified(pa.table({"id": [1], field.name: stored}), id=1, **dict.fromkeys(with_id, 2)))
    assert_kept(table, field.name, expected)


@pytest.mark.parametrize("part", PARTS)
def test_what_has_no_id_is_refused_where_there_is_no_mapping(lake: SqlCatalog, part: str) -> None:
    field, stored, with_id, _ = PARTS[part]
    table = table_of(lake, ID, field)
    add(table, identified(pa.table({"id": [1], field.name: stored}), id=1, **dict.fromkeys(with_id, 2)))
    with pytest.raises(DataError, match=rf"no field id for {field.name}.*schema\.name-mapping\.default"):
        values(table, field.name)
    assert compact(table).status == "failed"


def test_an_unknown_column_is_left_alone(lake: SqlCatalog) -> None:
    """All that is wanted is there under its id: what has none is not the table's."""
    table = table_of(lake, ID, TEXT)
    add(table, identified(pa.table({"id": [1], "s": ["x"], "extra": [True]}), id=1, s=2))
    assert_kept(table, "s", ["x"])


def test_a_name_mapping_that_is_none(lake: SqlCatalog) -> None:
    table = table_of(lake, ID)
    add(table, identified(pa.table({"id": [1]}), id=1))
    set_mapping(table, "[{")
    with pytest.raises(ConfigurationError, match=r"schema\.name-mapping\.default is not a valid name mapping"):
        values(table, "id")


def test_an_id_comes_before_a_name(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, TEXT)
    set_mapping(table, json.dumps([{"field-id": 1, "names": ["id"]}, {"field-id": 2, "names": ["s", "old"]}]))
    add(table, identified(pa.table({"id": [1], "old": ["by name"], "t": ["by id"]}), id=1, t=2))
    assert_kept(table, "s", ["by id"])


def test_an_id_that_two_columns_have_is_refused(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, TEXT)
    add(table, identified(pa.table({"id": [1], "s": ["x"], "t": ["y"]}), id=1, s=2, t=2))
    with pytest.raises(DataError, match="more than one column with field id 2"):
        values(table, "s")


def test_an_equality_delete_file_with_ids_on_some_columns(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, TEXT, mapped=True)
    add(table, identified(pa.table({"id": [1, 2], "s": ["x", "y"]}), id=1, s=2))
    add(table, identified(pa.table({"id": [1], "s": ["x"]}), id=1), equality_ids=[1, 2])
    assert_kept(table, "id", [2])


@pytest.mark.parametrize("form", ["orc", "avro"])
@pytest.mark.parametrize("mapped", [True, False])
def test_orc_and_avro_files_with_ids_on_some_columns(lake: SqlCatalog, form: str, mapped: bool) -> None:
    table = table_of(lake, ID, TEXT, mapped=mapped)
    if form == "orc":
        path = folder(table) / "x.orc"
        fields = [pa.field("id", pa.int64(), metadata={b"iceberg.id": b"1"}), pa.field("s", pa.string())]
        orc.write_table(pa.table([[1], ["x"]], pa.schema(fields)), path)
    else:
        path = write_avro(table, [{"name": "id", "type": "long", "field-id": 1}, {"name": "s", "type": "string"}])
    commit(table, described(path, 1, form=FileFormat[form.upper()]))
    if mapped:
        assert_kept(table, "s", ["x"])
        return
    with pytest.raises(DataError, match="no field id for s"):
        values(table, "s")


# -------------------------------------------------------------------------------------- layouts and encodings


def test_split_bytes_of_fixed_length(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, column(FixedType(4)), NestedField(3, "d", DecimalType(20, 2)))
    rows = {"id": [1], "x": pa.array([b"abcd"], pa.binary(4)), "d": pa.array([Decimal(7)], pa.decimal128(20, 2))}
    encodings = dict.fromkeys(("x", "d"), "BYTE_STREAM_SPLIT")
    add(table, identified(pa.table(rows), id=1, x=2, d=3), use_dictionary=False, column_encoding=encodings)
    assert_kept(table, "x", [b"abcd"])


def test_a_codec_that_the_engine_does_not_have(lake: SqlCatalog) -> None:
    """LZ4 as Hadoop has it, by its number in the footer: another reader copies the file."""
    table = table_of(lake, ID, TEXT)
    for number in range(2):
        path = folder(table) / f"{number}.parquet"
        pq.write_table(identified(pa.table({"id": [number], "s": ["x" * 500]}), id=1, s=2), path, compression="lz4")
        raw, hadoop = b"\x15\x0e\x16\x02", b"\x15\x0a\x16\x02"
        assert path.read_bytes().count(raw) == 2
        path.write_bytes(path.read_bytes().replace(raw, hadoop))
        commit(table, described(path, 1))
    add(table, identified(pa.table({"id": [0]}), id=1), equality_ids=[1])
    assert scan_table(table).count() == 1
    assert_kept(table, "s", ["x" * 500])


def test_what_only_fails_while_it_is_read_is_tried_again_with_copies(
    lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "split_bytes", lambda *_: set())
    table = table_of(lake, ID, column(FixedType(4)))
    rows = pa.table({"id": [1, 2], "x": pa.array([b"abcd", b"efgh"], pa.binary(4))})
    encoding = {"use_dictionary": False, "column_encoding": {"x": "BYTE_STREAM_SPLIT"}}
    add(table, identified(rows, id=1, x=2), **encoding)
    add(table, identified(rows.select(["x"]).slice(1), x=2), equality_ids=[2], **encoding)
    assert_kept(table, "x", [b"abcd"])


def test_old_timestamps_in_a_file_that_is_copied(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, TEXT, NestedField(3, "ts", TimestampType()))
    far = pa.array([dt.datetime(9999, 12, 31)], pa.timestamp("us"))
    rows = pa.table({"id": [1], "s": pa.array(["x"]), "ts": far, "S": [1]})
    add(table, identified(rows, id=1, s=2, ts=3), use_deprecated_int96_timestamps=True)
    assert_kept(table, "ts", far.to_pylist())


def test_columns_of_no_type(lake: SqlCatalog) -> None:
    fields = (TEXT, NestedField(3, "l", ListType(4, LongType(), False)), NestedField(5, "st", StructType(ID)))
    table = table_of(lake, NestedField(9, "key", LongType()), *fields)
    nothing = {field.name: pa.nulls(2) for field in fields}
    add(table, identified(pa.table({"key": [1, 2], **nothing}), key=9, s=2, l=3, st=5))
    assert_kept(table, "l", [None, None])


# A file of parquet-mr's example writer: a list whose repeated group is called array and has one field.
ARRAY_OF_STRUCTS = (
    "UEFSMRUAFRAVEBWRgLnnChwVAhUAFQgVCAAAAQAAAAAAAAAVABU6FToV17Sw0AIcFQQVABUGFQYAAAIAAAADAgMAAAADCgAKAAAAAAAAABQAAAAA"
    "AAAAGRECGRgIAQAAAAAAAAAZGAgBAAAAAAAAABUCGRYAABkRAhkYCAoAAAAAAAAAGRgIFAAAAAAAAAAVAhkWABkmAgIZNgAABAAZHBYIFT4WAAAA"
    "GRwWRhVoFgAAABUCGVxIAXQVBAAVBCUAGAJpZFUCADUCGAFsFQIVBjUEHDwAAAA1BBgFYXJyYXkVAkUGABUEJQAYAXhVCAAWAhkcGSwmABwVBBkl"
    "AAgZGAJpZBUAFgIWPhY+Jgg8GAgBAAAAAAAAABgIAQAAAAAAAAAWACgIAQAAAAAAAAAYCAEAAAAAAAAAABkcFQAVABUCADwAABa8AhUUFq4BFT4A"
    "JgAcFQQZJQAGGTgBbAVhcnJheQF4FQAWBBZoFmgmRjwYCBQAAAAAAAAAGAgKAAAAAAAAABYAKAgUAAAAAAAAABgICgAAAAAAAAAAGRwVABUAFQIA"
    "PCkmAgIZNgAABAAAFtACFRQW7AEVUAAWpgEWAiYIFqYBFAAAGRwYEXdyaXRlci5tb2RlbC5uYW1lGAdleGFtcGxlABhKcGFycXVldC1tciB2ZXJz"
    "aW9uIDEuMTYuMCAoYnVpbGQgNDAyYzM4MTBjMzcyZDI5NjAzZTE4MTc3MWFjZWJmZWNjNzFiZWY2MSkZLBwAABwAAACKAQAAUEFSMQ=="
)
# The same writer: a map annotated by MAP_KEY_VALUE alone, as before 2014.
OLD_MAP = (
    "UEFSMRUAFRAVEBWRgLnnChwVAhUAFQgVCAAAAQAAAAAAAAAVABUkFSQV4a75jQ0cFQIVABUGFQYAAAIAAAADAAMAAAADAgABAAAAaxUAFSoVKhXU"
    "v+m3AxwVAhUAFQYVBgAAAgAAAAMAAwAAAAMDAAMAAAAAAAAAGRECGRgIAQAAAAAAAAAZGAgBAAAAAAAAABUCGRYAABkRAhkYAWsZGAFrFQIZFgAZ"
    "JgIAGTYAAAIAGRECGRgIAwAAAAAAAAAZGAgDAAAAAAAAABUCGRYAGSYCABlGAAAAAgAZHBYIFT4WAAAAGRwWRhVSFgAAGRYCABkcFpgBFVgWAAAA"
    "FQIZbEgBdBUEABUEJQAYAmlkVQIANQIYAW0VAhUENQQANQQYA21hcBUEABUMJQAYA2tleSUANQYcHAAAABUEJQIYBXZhbHVlVQgAFgIZHBk8JgAc"
    "FQQZJQAIGRgCaWQVABYCFj4WPiYIPBgIAQAAAAAAAAAYCAEAAAAAAAAAFgAoCAEAAAAAAAAAGAgBAAAAAAAAAAAZHBUAFQAVAgA8AAAWtAMVFBbw"
    "ARU+ACYAHBUMGSUABhk4AW0DbWFwA2tleRUAFgIWUhZSJkY8GAFrGAFrFgAoAWsYAWsAGRwVABUAFQIAPBYCGSYCABk2AAACAAAWyAMVGhauAhU0"
    "ACYAHBUEGSUABhk4AW0DbWFwBXZhbHVlFQAWAhZYFlgmmAE8GAgDAAAAAAAAABgIAwAAAAAAAAAWACgIAwAAAAAAAAAYCAMAAAAAAAAAABkcFQAV"
    "ABUCADwpJgIAGUYAAAACAAAW4gMVFhbiAhVSABboARYCJggW6AEUAAAZHBgRd3JpdGVyLm1vZGVsLm5hbWUYB2V4YW1wbGUAGEpwYXJxdWV0LW1y"
    "IHZlcnNpb24gMS4xNi4wIChidWlsZCA0MDJjMzgxMGMzNzJkMjk2MDNlMTgxNzcxYWNlYmZlY2M3MWJlZjYxKRk8HAAAHAAAHAAAAPABAABQQVIx"
)


@pytest.mark.parametrize(
    ("file", "names", "expected"),
    [(ARRAY_OF_STRUCTS, ("l", "array", "x"), [{"x": 10}, {"x": 20}]), (OLD_MAP, ("m", "key", "value"), [("k", 3)])],
)
def test_nested_layouts_of_old_writers(lake: SqlCatalog, file: str, names: tuple[str, ...], expected: Any) -> None:
    """The ids that PyIceberg gives to a new table are not the file's, so the columns are found by name."""
    of_list = ListType(3, StructType(NestedField(4, "x", LongType())), False)
    of_map = MapType(3, StringType(), 4, LongType(), False)
    table = table_of(lake, ID, NestedField(2, names[0], of_list if names[0] == "l" else of_map))
    path = folder(table) / "x.parquet"
    path.write_bytes(base64.b64decode(file))
    ids = {field: table.schema().find_field(field).field_id for field in table.schema().column_names}
    assert set(ids.values()) == {1, 2, 3, 4}
    commit(table, described(path, 1))
    assert_kept(table, names[0], [expected])


# ------------------------------------------------------------------------------------------------------- maps


@pytest.mark.parametrize("nested", [False, True])
def test_a_map_with_a_key_twice_keeps_both_after_a_promotion(lake: SqlCatalog, nested: bool) -> None:
    value: IcebergType = StructType(NestedField(5, "a", IntegerType())) if nested else IntegerType()
    table = table_of(lake, ID, NestedField(2, "m", MapType(3, StringType(), 4, value, False)))
    ids = {name: table.schema().find_field(name).field_id for name in ("id", "m", "m.key", "m.value")}
    stored: pa.DataType = pa.int32()
    items = pa.array([1, 2, None, 4], pa.int32())
    if nested:
        a = pa.field("a", pa.int32(), metadata=id_of(table.schema().find_field("m.value.a").field_id))
        stored, items = pa.struct([a]), pa.StructArray.from_arrays([items], fields=[a])
    kind = pa.map_(
        pa.field("key", pa.string(), False, id_of(ids["m.key"])),
        pa.field("value", stored, True, id_of(ids["m.value"])),
    )
    maps = pa.MapArray.from_arrays(pa.array([0, 2, None, 3, 4], pa.int32()), pa.array(["a", "a", "b", "c"]), items)
    schema = pa.schema(
        [pa.field("id", pa.int64(), metadata=id_of(ids["id"])), pa.field("m", kind, metadata=id_of(ids["m"]))]
    )
    add(table, pa.table([pa.array([1, 2, 3, 4]), maps.cast(kind)], schema))
    before = values(table, "m")
    with table.update_schema() as update:
        if nested:
            update.rename_column(("m", "value", "a"), "b")
            update.update_column(("m", "value", "a"), LongType())
            update.add_column(("m", "value", "new"), StringType())
        else:
            update.update_column(("m", "value"), LongType())
    after = [[(k, {"b": v["a"], "new": None}) for k, v in m] if nested and m else m for m in before]
    assert sum(len(m or ()) for m in before) == 4
    assert_kept(table, "m", after)


# --------------------------------------------------------------------------------------------- required columns


@pytest.mark.parametrize("beside", [(), (NestedField(3, "d", DecimalType(20, 2)),)])
def test_null_in_a_required_column_is_kept(lake: SqlCatalog, tmp_path: Path, beside: tuple[NestedField, ...]) -> None:
    inner = StructType(NestedField(5, "r", StringType(), required=True))
    fields = [NestedField(2, "s", StringType(), required=True), NestedField(4, "st", inner, required=True), *beside]
    table = table_of(lake, ID, *fields)
    ids = {name: table.schema().find_field(name).field_id for name in ("id", "s", "st", "st.r")}
    kind = pa.struct([pa.field("r", pa.string(), metadata=id_of(ids.pop("st.r")))])
    structs = pa.array([None, {"r": None}], kind)
    add(table, identified(pa.table({"id": [1, 2], "s": ["a", None], "st": structs}), **ids))
    assert values(table, "st") == [None, {"r": None}]
    assert scan_table(table).to_parquet(tmp_path / "out.parquet") == 2
    assert_kept(table, "s", ["a", None][::-1] if repr(None) < repr("a") else ["a", None])


# ---------------------------------------------------------------------------------------------- dates in far years

FAR = [dt.datetime(9999, 12, 31, 23, 59, 59, 999999), dt.datetime(1, 1, 1), dt.datetime(1582, 10, 4, 1), None]


def micros(*values: dt.datetime | None) -> list[int | None]:
    epoch = dt.datetime(1970, 1, 1)
    return [None if v is None else (v - epoch) // dt.timedelta(microseconds=1) for v in values]


def test_orc_holds_timestamps_that_nanoseconds_do_not(lake: SqlCatalog) -> None:
    inner = StructType(NestedField(7, "day", DateType()), NestedField(8, "at", TimestampType()))
    table = table_of(
        lake,
        ID,
        NestedField(2, "ts", TimestampType()),
        NestedField(3, "tz", TimestamptzType()),
        NestedField(4, "l", ListType(6, inner, False)),
        NestedField(5, "m", MapType(9, StringType(), 10, LongType(), False)),
    )
    ids = [table.schema().find_field(name).field_id for name in ("id", "ts", "tz", "l", "m", "l.element.at")]

    def of(number: int) -> dict[bytes, bytes]:
        return {b"iceberg.id": str(number).encode()}

    names = ["l.element.day", "l.element.at", "m.key", "m.value"]
    day, at, key, value = (of(table.schema().find_field(name).field_id) for name in names)
    item = pa.struct([pa.field("day", pa.date32(), metadata=day), pa.field("at", pa.timestamp("us"), metadata=at)])
    schema = pa.schema(
        [
            pa.field("id", pa.int64(), metadata=of(ids[0])),
            pa.field("ts", pa.timestamp("us"), metadata=of(ids[1])),
            pa.field("tz", pa.timestamp("us", "UTC"), metadata=of(ids[2])),
            pa.field("l", pa.list_(pa.field("element", item)), metadata=of(ids[3])),
            pa.field(
                "m",
                pa.map_(pa.field("key", pa.string(), False, key), pa.field("value", pa.int64(), True, value)),
                metadata=of(ids[4]),
            ),
        ]
    )
    numbers = micros(*FAR)
    nested = [[{"day": 3, "at": n}] for n in numbers]
    maps = pa.MapArray.from_arrays([0, 2, 2, 2, 2], ["k", "k"], pa.array([1, 2]))
    rows = pa.table([pa.array([1, 2, 3, 4]), numbers, numbers, nested, maps], schema)
    path = folder(table) / "x.orc"
    orc.write_table(rows, path)
    commit(table, described(path, 4, form=FileFormat.ORC))
    for found in (scan_table(table).to_arrow(), scan_table(compacted(table)).to_arrow()):
        found = found.sort_by("id")
        assert found["ts"].to_pylist() == FAR
        assert micros(*(v and v.replace(tzinfo=None) for v in found["tz"].to_pylist())) == numbers
        assert [items[0]["at"] for items in found["l"].to_pylist()] == FAR
        assert found["m"].to_pylist()[0] == [("k", 1), ("k", 2)]


def test_a_map_of_timestamps_beside_far_ones_in_orc_is_not_supported(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, NestedField(2, "ts", TimestampType()))
    path = folder(table) / "x.orc"
    fields = [
        pa.field("id", pa.int64(), metadata={b"iceberg.id": b"1"}),
        pa.field("ts", pa.timestamp("us"), metadata={b"iceberg.id": b"2"}),
        pa.field("m", pa.map_(pa.string(), pa.timestamp("us"))),
    ]
    orc.write_table(pa.table([[1], micros(FAR[0]), [[("k", 1)]]], pa.schema(fields)), path)
    commit(table, described(path, 1, form=FileFormat.ORC))
    with pytest.raises(UnsupportedFileError, match="map of timestamps 'm'"):
        values(table, "ts")


def write_avro(table: Table, fields: list[dict[str, Any]], rows: list[dict[str, Any]] | None = None) -> Path:
    path = folder(table) / "x.avro"
    with path.open("wb") as stream:
        fastavro.writer(stream, {"type": "record", "name": "r", "fields": fields}, rows or [{"id": 1, "s": "x"}])
    return path


MOST, LEAST = 2**63 - 1, -(2**63)
FAR_DAYS = [2**31 - 1, 2**31 - 2, 3663634, 0, -800_000, 2 - 2**31, 1 - 2**31, -(2**31)]
FAR_INSTANTS = [MOST, MOST - 1, 3663634 * 86_400_000_000, 0, -1, LEAST + 2, LEAST + 1, LEAST]


def numbers(found: pa.ChunkedArray) -> list[int]:
    array = found.combine_chunks()
    return array.view(pa.int64() if array.type.bit_width == 64 else pa.int32()).to_pylist()  # type: ignore[no-any-return]


def far_rows(instants: pa.DataType, *more: Any) -> pa.Table:
    rows = {
        "id": list(range(8)),
        "d": pa.array(FAR_DAYS, pa.int32()).view(pa.date32()),
        "t": pa.array(FAR_INSTANTS).view(instants),
    }
    return identified(pa.table(rows | dict(more)), id=1, d=2, t=3, f=4)


@pytest.mark.parametrize(
    ("transforms", "with_floats", "zone"),
    [
        pytest.param((IdentityTransform(), IdentityTransform()), False, None, marks=pytest.mark.exhaustive),
        ((YearTransform(), HourTransform()), True, None),
        pytest.param((MonthTransform(), DayTransform()), False, "UTC", marks=pytest.mark.exhaustive),
        ((BucketTransform(4), BucketTransform(4)), True, "UTC"),
    ],
)
def test_every_date_and_instant_is_kept_sorted_and_shown(
    lake: SqlCatalog, transforms: tuple[Transform[Any, Any], ...], with_floats: bool, zone: str | None
) -> None:
    instants: IcebergType = TimestamptzType() if zone else TimestampType()
    fields = [NestedField(2, "d", DateType()), NestedField(3, "t", instants)]
    order = SortOrder(*(SortField(f.field_id, t) for f, t in zip(fields, transforms, strict=True)))
    extra = [NestedField(4, "f", DoubleType())] if with_floats else []
    schema = Schema(ID, *fields, *extra)
    table = lake.create_table("db.t", schema, sort_order=order)
    floats = [("f", [1.5] * 8)] if with_floats else []
    add(table, far_rows(pa.timestamp("us", zone), *floats))
    # Keys that the engine calls infinity. The least instant, which it has no text for, stays.
    keys = pa.table({"t": pa.array([LEAST + 1, MOST]).view(pa.timestamp("us", zone))})
    add(table, identified(keys, t=3), equality_ids=[3])
    every = list(zip(range(8), FAR_DAYS, FAR_INSTANTS, strict=True))
    expected = [row for row in every if abs(row[2]) != MOST]
    for _ in range(2):
        found = scan_table(table).to_arrow().sort_by("id")
        assert list(zip(found["id"].to_pylist(), numbers(found["d"]), numbers(found["t"]), strict=True)) == expected
        shown = {str(row["t"]) for row in scan_table(table).head(10)}
        assert any(text.startswith("+294247-01-10T04:00:54.775806") for text in shown)
        compacted(table)
    assert len(list(folder(table).glob("autostream-*"))) == 2, "a first attempt is left behind"


def test_far_dates_as_partitions_are_named_filtered_and_merged(lake: SqlCatalog) -> None:
    fields = [NestedField(2, "d", DateType()), NestedField(3, "t", TimestampType())]
    parts = (PartitionField(2, 1000, DayTransform(), "day"), PartitionField(3, 1001, IdentityTransform(), "t"))
    table = table_of(lake, ID, *fields, by=parts)
    rows = far_rows(pa.timestamp("us"))
    chosen = (0, 2, 6, 7)
    for i in chosen:
        add(table, rows.slice(i, 1), partition=(FAR_DAYS[i], FAR_INSTANTS[i]))
        lacking = identified(pa.table({"id": [i + 10], "d": rows["d"].slice(i, 1)}), id=1, d=2)
        add(table, lacking, partition=(FAR_DAYS[i], FAR_INSTANTS[i]))
    plan = plan_compaction(table, options=CompactionOptions.from_properties({}, {"rewrite-all": "true"}))
    names = {str(group.partition) for group in plan.groups}
    assert any("day=%2B12000-09-09" in name for name in names)
    assert numbers(scan_table(compacted(table)).to_arrow().sort_by("id")["t"]) == [FAR_INSTANTS[i] for i in chosen] * 2
    assert sorted(values(table, "id", where="t > '2026-01-01T00:00:00'")) == [0, 2, 10, 12]
    with pytest.raises(UsageError, match="12000-01-01"):
        scan_table(table, where="d < '12000-01-01'")


def test_far_dates_within_lists_maps_and_structs_are_shown(lake: SqlCatalog) -> None:
    pair = StructType(NestedField(6, "day", DateType()), NestedField(7, "u", UUIDType()))
    field = NestedField(2, "l", ListType(3, MapType(4, StringType(), 5, pair, False), False))
    table = table_of(lake, ID, field)
    ids = {name: table.schema().find_field(name).field_id for name in table.schema().column_names}
    value = pa.struct(
        [
            pa.field("day", pa.date32(), metadata=id_of(ids["l.element.value.day"])),
            pa.field("u", pa.binary(16), metadata=id_of(ids["l.element.value.u"])),
        ]
    )
    entries = pa.map_(
        pa.field("key", pa.string(), False, id_of(ids["l.element.key"])),
        pa.field("value", value, True, id_of(ids["l.element.value"])),
    )
    kind = pa.list_(pa.field("element", entries, True, id_of(ids["l.element"])))
    schema = pa.schema([pa.field("id", pa.int64(), metadata=id_of(1)), pa.field("l", kind, metadata=id_of(ids["l"]))])
    key = uuid.UUID(int=7)
    maps = [("a", {"day": 3663634, "u": key.bytes}), ("b", {"day": 0, "u": None}), ("c", None)]
    add(table, pa.table([pa.array([1]), pa.array([[maps, None]], kind)], schema))
    (row,) = scan_table(table).head(1)
    far, near = {"day": "+12000-09-09", "u": key}, {"day": dt.date(1970, 1, 1), "u": None}
    assert row["l"] == [[("a", far), ("b", near), ("c", None)], None]


def test_a_partition_whose_folder_would_be_too_long(lake: SqlCatalog) -> None:
    """29 Chinese characters are 261 bytes when they are escaped; the writer of such a table names no folders."""
    table = table_of(lake, ID, TEXT, by=(PartitionField(2, 1000, IdentityTransform(), "s"),))
    texts = ["中" * 40 + end for end in "ab"]
    for number, value in enumerate(texts):
        for part in range(2):
            rows = identified(pa.table({"id": [2 * number + part], "s": [value]}), id=1, s=2)
            add(table, rows, partition=(value,))
    assert values(compacted(table), "id") == [0, 1, 2, 3]
    folders = {path.parent.name for path in folder(table).glob("*/autostream-*")}
    assert len(folders) == 2
    assert all(len(name.encode()) <= 255 for name in folders)


def test_avro_values_are_numbers_whatever_they_stand_for(lake: SqlCatalog) -> None:
    """No year 12000 in Python's dates; and 2^63 - 1 stands for infinity with some writers."""
    table = table_of(lake, ID, NestedField(2, "d", DateType()), NestedField(3, "ts", TimestampType()))
    fields = [
        {"name": "id", "type": "long", "field-id": 1},
        {"name": "d", "type": ["null", {"type": "int", "logicalType": "date"}], "field-id": 2},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}, "field-id": 3},
    ]
    plain = [{**f, "type": t} for f, t in zip(fields, ("long", ["null", "int"], "long"), strict=True)]
    days, instants = [3663634, -(2**31), None], [2**63 - 1, -(2**63), 253402300800000000]
    rows = [{"id": i, "d": d, "ts": t} for i, (d, t) in enumerate(zip(days, instants, strict=True))]
    path = folder(table) / "x.avro"
    record = {"type": "record", "name": "r"}
    with path.open("wb") as stream:  # the numbers first, as fastavro writes dates from Python's only
        fastavro.writer(stream, {**record, "fields": plain}, rows)
    header = json.dumps({**record, "fields": fields}).encode()
    path.write_bytes(with_avro_schema(path.read_bytes(), header))
    commit(table, described(path, 3, form=FileFormat.AVRO))
    for found in (scan_table(table).to_arrow(), scan_table(compacted(table)).to_arrow()):
        found = found.sort_by("id").combine_chunks()
        assert found["d"].chunk(0).view(pa.int32()).to_pylist() == days
        assert found["ts"].chunk(0).view(pa.int64()).to_pylist() == instants


def with_avro_schema(file: bytes, schema: bytes) -> bytes:
    """Return an Avro file with another schema in its header."""
    at = file.index(b"avro.schema") + len("avro.schema")
    length, shift, end = 0, 0, at
    while True:
        length |= (file[end] & 127) << shift
        shift += 7
        end += 1
        if file[end - 1] < 128:
            break
    coded, left = bytearray(), len(schema) << 1
    while left > 127:
        coded.append(left & 127 | 128)
        left >>= 7
    return file[:at] + bytes([*coded, left]) + schema + file[end + (length >> 1) :]


def test_enums_of_avro_are_strings(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, TEXT, mapped=True)
    kind = {"type": "enum", "name": "E", "symbols": ["RED", "BLUE"]}
    fields = [{"name": "id", "type": "long"}, {"name": "s", "type": ["null", kind]}, {"name": "t", "type": "E"}]
    rows = [{"id": 1, "s": "BLUE", "t": "RED"}, {"id": 2, "s": None, "t": "RED"}]
    commit(table, described(write_avro(table, fields, rows), 2, form=FileFormat.AVRO))
    assert_kept(table, "s", ["BLUE", None][:: 1 if "'BLUE'" < "None" else -1])


LINKED = {"type": "record", "name": "n", "fields": [{"name": "next", "type": ["null", "n"]}]}


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (["string", "long"], "x", "a union of several types"),
        (
            ["null", {"type": "record", "name": "n", "fields": [{"name": "next", "type": ["null", "n"]}]}],
            None,
            "itself",
        ),
    ],
)
def test_what_iceberg_does_not_know_of_avro_is_not_supported(
    lake: SqlCatalog, kind: Any, value: Any, says: str
) -> None:
    table = table_of(lake, ID, TEXT, mapped=True)
    path = write_avro(table, [{"name": "id", "type": "long"}, {"name": "s", "type": kind}], [{"id": 1, "s": value}])
    commit(table, described(path, 1, form=FileFormat.AVRO))
    with pytest.raises(UnsupportedFileError, match=says):
        values(table, "s")


@pytest.mark.parametrize("form", ["orc", "avro", "parquet"])
def test_a_type_that_is_not_the_columns_is_refused_by_its_name(lake: SqlCatalog, form: str) -> None:
    """In a copy columns have other names: the message says the table's."""
    table = table_of(lake, ID, column(LongType()), mapped=True)
    if form == "avro":
        path = write_avro(
            table, [{"name": "id", "type": "long"}, {"name": "x", "type": "double"}], [{"id": 1, "x": 1.5}]
        )
    else:
        path = folder(table) / f"x.{form}"
        rows = pa.table({"id": [1], "x": [1.5], "X": [1]})
        (orc if form == "orc" else pq).write_table(rows, path)
    commit(table, described(path, 1, form=FileFormat[form.upper()]))
    with pytest.raises(DataError, match=rf"x\.{form} stores column 'x' as DOUBLE, but its type in the table is long"):
        values(table, "x")
    assert compact(table).status == "failed"


def test_a_column_of_avros_null(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, TEXT, mapped=True)
    path = write_avro(table, [{"name": "id", "type": "long"}, {"name": "s", "type": "null"}], [{"id": 1, "s": None}])
    commit(table, described(path, 1, form=FileFormat.AVRO))
    assert_kept(table, "s", [None])


# ------------------------------------------------------------------------------------------ strings that are none

NO_UTF8 = b"caf\xe9"


def bad_strings() -> pa.Array:
    return pa.Array.from_buffers(pa.string(), 2, pa.array([NO_UTF8, b"ok"], pa.binary()).buffers())


def bad_parquet(table: Table) -> None:
    add(table, identified(pa.table({"id": [1, 2], "s": bad_strings()}), id=1, s=2))


def bad_orc(table: Table) -> None:
    path = folder(table) / "x.orc"
    orc.write_table(pa.table({"id": [1, 2], "s": bad_strings()}), path)
    commit(table, described(path, 2, form=FileFormat.ORC))


def bad_avro(table: Table) -> None:
    fields = [{"name": "id", "type": "long"}, {"name": "s", "type": "string"}]
    path = write_avro(table, fields, [{"id": 1, "s": "cafe"}])
    path.write_bytes(path.read_bytes().replace(b"cafe", NO_UTF8))
    commit(table, described(path, 1, form=FileFormat.AVRO))


@pytest.mark.parametrize("write", [bad_parquet, bad_orc, bad_avro])
def test_strings_that_are_no_utf8_are_not_supported_and_not_called_damage(
    lake: SqlCatalog, write: Callable[[Table], None]
) -> None:
    table = table_of(lake, ID, TEXT, mapped=True)
    write(table)
    with pytest.raises(UnsupportedFileError, match="strings that are not UTF-8 in column 's'"):
        values(table, "s")
    result = compact(table)
    assert result.status == "failed"
    assert "UTF-8" in str(result.error)
    assert "estore" not in str(result.error)


def test_a_column_that_is_sound_is_read_beside_one_that_is_not(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, TEXT)
    bad_parquet(table)
    assert values(table, "id", columns=["id"]) == [1, 2]


def test_a_file_that_no_reader_reads_is_damaged(lake: SqlCatalog) -> None:
    table = table_of(lake, ID, TEXT)
    path = folder(table) / "x.parquet"
    pq.write_table(identified(pa.table({"id": [1], "s": ["a" * 1000]}), id=1, s=2), path, compression="none")
    commit(table, described(path, 1))
    path.write_bytes(path.read_bytes()[:-8] + b"\xff\xff\xff\x00PAR1")
    with pytest.raises(DataError, match="cannot be read"):
        values(table, "s")


# --------------------------------------------------------------------------------------------------- old metadata


def test_manifests_listed_in_the_metadata_are_not_supported_and_said_so(lake: SqlCatalog) -> None:
    """As the first releases wrote them: the spec of version 1 allows it instead of a manifest list."""
    table = lake.create_table("db.t", Schema(ID), properties={"format-version": "1"})
    table.append(pa.table({"id": [1]}))
    path = Path(table.metadata_location.removeprefix("file://"))
    metadata = json.loads(path.read_text())
    (snapshot,) = metadata["snapshots"]
    current = table.current_snapshot()
    assert current is not None
    snapshot["manifests"] = [manifest.manifest_path for manifest in current.manifests(table.io)]
    del snapshot["manifest-list"]
    path.write_text(json.dumps(metadata))
    with pytest.raises(UnsupportedTableError, match=r"Table lake\.db\.t has snapshots that list their manifests"):
        open_table("lake.db.t", catalog=lake)


def test_a_spec_with_an_unknown_transform(lake: SqlCatalog) -> None:
    """PyIceberg changes no metadata that have one: that is said, and nothing is left behind."""
    table = table_of(lake, ID)
    add(table, identified(pa.table({"id": [1]}), id=1))
    path = Path(table.metadata_location.removeprefix("file://"))
    metadata = json.loads(path.read_text())
    field = {"source-id": 1, "field-id": 1000, "name": "z", "transform": "zorder[3]"}
    metadata["partition-specs"].append({"spec-id": 1, "fields": [field]})
    metadata["default-spec-id"] = 1
    path.write_text(json.dumps(metadata))
    table = lake.load_table("db.t")
    before = set(path.parent.parent.rglob("*.*"))
    result = compact(table)
    assert result.status == "failed"
    assert "This version cannot change the metadata" in str(result.error)
    assert set(path.parent.parent.rglob("*.*")) == before
