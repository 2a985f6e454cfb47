"""What is written: physical types by the spec's mapping, field ids, codecs, row groups, sizes, exact metrics."""

import datetime as dt
import random
import struct
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.conversions import from_bytes, to_bytes
from pyiceberg.schema import Schema
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
    PrimitiveType,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from autostream.errors import ConfigurationError
from autostream.lake.engine import output_files as output
from autostream.lake.engine.column_metrics import Mode, _cut_lower, _cut_upper, column_modes, leaves
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.output_files import WriteSettings
from autostream.properties import of_table
from tests.lake.writing import arrow_rows, engine_in, field_ids, footer, ids_of, path_of, write
from tests.support.rows import assert_same_rows, ticks_of

WRITERS = ["engine", "arrow"]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "spill").mkdir()
    with engine_in(tmp_path / "spill") as opened:
        yield opened


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each writer where the engine's own would do."""
    if request.param == "arrow":
        monkeypatch.setattr(output, "engine_writes", lambda _: False)
    return str(request.param)


# ------------------------------------------------------------------------------------- types

# Iceberg type, a value, physical type, length, logical type as PyArrow prints it.
TYPES: list[tuple[PrimitiveType, Any, str, int, str]] = [
    (BooleanType(), True, "BOOLEAN", 0, "None"),
    (IntegerType(), -5, "INT32", 0, "Int(bitWidth=32, isSigned=true)"),
    (LongType(), -(1 << 40), "INT64", 0, "Int(bitWidth=64, isSigned=true)"),
    (FloatType(), 1.5, "FLOAT", 0, "None"),
    (DoubleType(), -0.1, "DOUBLE", 0, "None"),
    (DecimalType(1, 0), Decimal(-9), "INT32", 0, "Decimal(precision=1, scale=0)"),
    (DecimalType(9, 2), Decimal("-1234567.89"), "INT32", 0, "Decimal(precision=9, scale=2)"),
    (DecimalType(10, 2), Decimal("12345678.90"), "INT64", 0, "Decimal(precision=10, scale=2)"),
    (DecimalType(18, 18), Decimal("-0.123456789012345678"), "INT64", 0, "Decimal(precision=18, scale=18)"),
    (DecimalType(19, 0), Decimal(10**18), "FIXED_LEN_BYTE_ARRAY", 9, "Decimal(precision=19, scale=0)"),
    (DecimalType(21, 3), Decimal("-1.234"), "FIXED_LEN_BYTE_ARRAY", 9, "Decimal(precision=21, scale=3)"),
    (DecimalType(22, 3), Decimal("-1.234"), "FIXED_LEN_BYTE_ARRAY", 10, "Decimal(precision=22, scale=3)"),
    (DecimalType(28, 3), Decimal("1.234"), "FIXED_LEN_BYTE_ARRAY", 12, "Decimal(precision=28, scale=3)"),
    (DecimalType(35, 3), Decimal("1.234"), "FIXED_LEN_BYTE_ARRAY", 15, "Decimal(precision=35, scale=3)"),
    (DecimalType(36, 3), Decimal("1.234"), "FIXED_LEN_BYTE_ARRAY", 16, "Decimal(precision=36, scale=3)"),
    (DecimalType(37, 3), Decimal("1.234"), "FIXED_LEN_BYTE_ARRAY", 16, "Decimal(precision=37, scale=3)"),
    (DecimalType(38, 38), Decimal("-0.1"), "FIXED_LEN_BYTE_ARRAY", 16, "Decimal(precision=38, scale=38)"),
    (DateType(), dt.date(1969, 12, 31), "INT32", 0, "Date"),
    (TimeType(), dt.time(1, 2, 3, 4), "INT64", 0, "Time(isAdjustedToUTC=false, timeUnit=microseconds"),
    (
        TimestampType(),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
        "INT64",
        0,
        "Timestamp(isAdjustedToUTC=false, timeUnit=microseconds",
    ),
    (
        TimestamptzType(),
        dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
        "INT64",
        0,
        "Timestamp(isAdjustedToUTC=true, timeUnit=microseconds",
    ),
    (StringType(), "žluť", "BYTE_ARRAY", 0, "String"),
    (UUIDType(), uuid.UUID(int=2**127 + 5), "FIXED_LEN_BYTE_ARRAY", 16, "UUID"),
    (FixedType(3), b"\x00\xffa", "FIXED_LEN_BYTE_ARRAY", 3, "None"),
    (FixedType(16), b"0123456789abcdef", "FIXED_LEN_BYTE_ARRAY", 16, "None"),
    (BinaryType(), b"\x00\xff", "BYTE_ARRAY", 0, "None"),
]


def nested(leaf: PrimitiveType) -> Schema:
    """Return a schema that has a type on its own and within a struct, a list, a map and all of these."""
    deep = StructType(
        NestedField(10, "l", ListType(11, MapType(12, StringType(), 13, leaf, False), False), required=False)
    )
    return Schema(
        NestedField(1, "own", leaf, required=False),
        NestedField(2, "st", StructType(NestedField(3, "x", leaf, required=False)), required=False),
        NestedField(4, "li", ListType(5, leaf, False), required=False),
        NestedField(6, "ma", MapType(7, IntegerType(), 8, leaf, False), required=False),
        NestedField(9, "deep", deep, required=False),
    )


@pytest.mark.parametrize(
    ("leaf", "value", "physical", "length", "logical"), TYPES, ids=lambda v: str(v).partition("(is")[0]
)
def test_every_type_is_stored_as_the_spec_says_at_every_level(
    engine: Engine,
    tmp_path: Path,
    writer: str,
    leaf: PrimitiveType,
    value: Any,
    physical: str,
    length: int,
    logical: str,
) -> None:
    schema = nested(leaf)
    rows = [
        {
            "own": value,
            "st": {"x": value},
            "li": [value, None],
            "ma": [(1, value), (2, None)],
            "deep": {"l": [[("k", value)], [], None]},
        },
        dict.fromkeys(("own", "st", "li", "ma", "deep")),
        {"own": None, "st": {"x": None}, "li": [], "ma": [], "deep": {"l": None}},
    ]
    given_rows = arrow_rows(schema, rows)
    (file,) = write(engine, tmp_path / "out", schema, given_rows)

    columns = [footer(file).schema.column(i) for i in range(6 + 1)]
    assert [c.path for c in columns] == [
        "own",
        "st.x",
        "li.list.element",
        "ma.key_value.key",
        "ma.key_value.value",
        "deep.l.list.element.key_value.key",
        "deep.l.list.element.key_value.value",
    ]
    for column in columns:
        if column.path.endswith("key"):
            continue
        assert (column.physical_type, column.length) == (physical, length), column.path
        # A plain integer may or may not be annotated as one.
        known = str(column.logical_type)
        assert known.startswith(logical) or (known == "None" and logical.startswith("Int(")), column.path
    assert field_ids(file) == ids_of(schema)
    assert_same_rows(pq.read_table(path_of(file)), given_rows)


def test_lists_and_maps_are_those_of_the_spec_not_of_old_writers(engine: Engine, tmp_path: Path, writer: str) -> None:
    (file,) = write(engine, tmp_path / "out", nested(LongType()), arrow_rows(nested(LongType()), [{"own": 1}]))
    assert str(footer(file).schema).count("(List)") == 2
    assert str(footer(file).schema).count("(Map)") == 2


@pytest.mark.parametrize(
    ("field_type", "engine_writes"),
    [
        (LongType(), True),
        (UUIDType(), True),
        (DecimalType(18, 2), True),
        (DecimalType(19, 2), False),
        (DecimalType(36, 2), False),
        (DecimalType(38, 2), True),
        (FixedType(4), False),
        (ListType(9, FixedType(4), False), False),
        (MapType(9, StringType(), 10, FixedType(4), False), False),
        (MapType(9, FixedType(4), 10, StringType(), False), False),
        (StructType(NestedField(9, "x", DecimalType(20, 2), required=False)), False),
    ],
)
def test_the_faster_writer_is_used_where_it_writes_as_the_spec_says(
    engine: Engine, tmp_path: Path, field_type: IcebergType, engine_writes: bool
) -> None:
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "x", field_type, required=False))
    (file,) = write(engine, tmp_path / "out", schema, arrow_rows(schema, [{"id": 1, "x": None}]))
    assert footer(file).created_by.startswith("DuckDB" if engine_writes else "parquet-cpp-arrow")


@pytest.mark.parametrize("name", ["a.b", 'quo"te', "it's", "sp ace", "select", "c1", "žluť"])
def test_names_of_columns_are_kept(engine: Engine, tmp_path: Path, writer: str, name: str) -> None:
    schema = Schema(
        NestedField(1, name, DoubleType(), required=False),
        NestedField(2, "st", StructType(NestedField(3, name, FloatType(), required=False)), required=False),
    )
    rows = [{name: 1.5, "st": {name: 2.5}}, {name: float("nan"), "st": None}]
    (file,) = write(engine, tmp_path / "out", schema, arrow_rows(schema, rows))
    assert_same_rows(pq.read_table(path_of(file)), rows)
    assert field_ids(file) == {name: 1, "st": 2, f"st.{name}": 3}
    assert file.metrics["nan_value_counts"] == {1: 1, 3: 0}
    assert from_bytes(DoubleType(), file.metrics["upper_bounds"][1]) == 1.5
    assert from_bytes(FloatType(), file.metrics["lower_bounds"][3]) == 2.5


def test_columns_that_differ_by_case_only_keep_their_names(engine: Engine, tmp_path: Path) -> None:
    schema = Schema(NestedField(1, "a", LongType()), NestedField(2, "A", StringType()))
    (file,) = write(engine, tmp_path / "out", schema, arrow_rows(schema, [{"a": 1, "A": "x"}]))
    assert pq.read_table(path_of(file)).to_pylist() == [{"a": 1, "A": "x"}]
    assert field_ids(file) == {"a": 1, "A": 2}


# ------------------------------------------------------------------------------------- settings

IDS = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "s", StringType()))


def many(count: int, seed: int = 1) -> pa.Table:
    pick = random.Random(seed)
    return pa.table({"id": range(count), "s": [pick.randbytes(20).hex() for _ in range(count)]})


@pytest.mark.parametrize(
    ("codec", "stored"),
    [
        ("zstd", "ZSTD"),
        ("ZSTD", "ZSTD"),
        ("gzip", "GZIP"),
        ("snappy", "SNAPPY"),
        ("brotli", "BROTLI"),
        ("lz4", "LZ4"),
        ("uncompressed", "UNCOMPRESSED"),
        ("none", "UNCOMPRESSED"),
    ],
)
def test_codecs(engine: Engine, tmp_path: Path, writer: str, codec: str, stored: str) -> None:
    rows = many(100)
    (file,) = write(engine, tmp_path, IDS, rows, properties={"write.parquet.compression-codec": codec})
    assert footer(file).row_group(0).column(1).compression == stored
    assert_same_rows(pq.read_table(path_of(file)), rows)


def test_zstd_is_the_default_and_its_level_is_the_tables(engine: Engine, tmp_path: Path, writer: str) -> None:
    pick = random.Random(1)
    words = [pick.randbytes(3).hex() for _ in range(50)]
    rows = pa.table({"id": range(20_000), "s": [" ".join(pick.choices(words, k=8)) for _ in range(20_000)]})
    sizes = []
    for level in ("1", "19"):
        (file,) = write(engine, tmp_path, IDS, rows, properties={"write.parquet.compression-level": level})
        assert footer(file).row_group(0).column(1).compression == "ZSTD"
        sizes.append(file.size_bytes)
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("write.parquet.compression-codec", "rar", r"is 'rar'\. It must be zstd, gzip, snappy"),
        ("write.parquet.compression-level", "high", r"is 'high'\. It must be a whole number from -131,072 to 22"),
        ("write.parquet.compression-level", "40", r"is '40'\. It must be a whole number from -131,072 to 22"),
        ("write.parquet.row-group-size-bytes", "1MB", r"is '1MB'\. It must be a whole number"),
        ("write.parquet.row-group-limit", "", r"is ''\. It must be a whole number"),
        ("write.metadata.metrics.default", "some", r"is 'some'\. It must be none, counts, truncate\(N\) or full"),
        ("write.metadata.metrics.default", "truncate(0)", r"It must be none, counts, truncate\(N\) or full"),
        ("write.metadata.metrics.column.s", "bounds", r"column\.s is 'bounds'\. It must be none"),
        (
            "write.metadata.metrics.max-inferred-column-defaults",
            "all",
            r"is 'all'\. It must be a whole number",
        ),
    ],
)
def test_wrong_properties_are_named(key: str, value: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^Table t: property {key.partition('.column')[0]}.*{says}"):
        WriteSettings.from_properties(of_table("t", {key: value}), IDS)


def test_a_level_of_null_is_the_codecs_own() -> None:
    assert WriteSettings.from_properties(of_table("t", {"write.parquet.compression-level": "null"}), IDS).level is None


@pytest.mark.parametrize(
    ("properties", "most"),
    [
        ({"write.parquet.row-group-limit": "4096"}, 4096),
        ({"write.parquet.row-group-limit": "5000"}, 4096),
        ({"write.parquet.row-group-limit": "10"}, 2048),  # the engine's vector is the least
        ({"write.parquet.row-group-size-bytes": str(6000 * 50)}, 4096),
    ],
)
def test_row_groups_are_limited(
    engine: Engine, tmp_path: Path, writer: str, properties: dict[str, str], most: int
) -> None:
    rows = many(20_000)
    (file,) = write(engine, tmp_path, IDS, rows, properties=properties, expected_bytes=20_000 * 50)
    sizes = [footer(file).row_group(i).num_rows for i in range(footer(file).num_row_groups)]
    assert sum(sizes) == 20_000
    assert max(sizes) <= most
    assert len(sizes) <= 20_000 / most + 2


def test_row_groups_fit_into_memory(tmp_path: Path) -> None:
    """They are buffered uncompressed, one per thread."""
    with engine_in(tmp_path, memory_limit_bytes=16_000_000) as engine:
        (file,) = write(engine, tmp_path / "out", IDS, many(50_000), expected_bytes=50_000 * 60)
    assert max(footer(file).row_group(i).num_rows for i in range(footer(file).num_row_groups)) <= 16_000_000 / 2400


@pytest.mark.parametrize("wanted", ["true", "false"])
def test_bloom_filters_where_the_table_asks_for_them(engine: Engine, tmp_path: Path, wanted: str) -> None:
    rows = pa.table({"id": [i % 10 for i in range(5000)], "s": ["x"] * 5000})
    properties = {"write.parquet.bloom-filter-enabled.column.id": wanted}
    (file,) = write(engine, tmp_path, IDS, rows, properties=properties)
    (offset,) = duckdb.sql(
        f"SELECT bloom_filter_offset FROM parquet_metadata('{path_of(file)}') WHERE path_in_schema = 'id'"
    ).fetchall()[0]
    assert (offset is not None) is (wanted == "true")


@pytest.mark.parametrize("files_wanted", [2, 4, 10])
def test_files_near_the_target_size(engine: Engine, tmp_path: Path, writer: str, files_wanted: int) -> None:
    """None so large that the next run would split it again, and at most one small rest."""
    rows = many(100_000)  # 24 bytes a row, hardly compressible
    (whole,) = write(engine, tmp_path / "one", IDS, rows, expected_bytes=1)
    target = whole.size_bytes // files_wanted
    files = write(engine, tmp_path / "many", IDS, rows, expected_bytes=whole.size_bytes, file_bytes=target)
    assert len(files) >= 2
    assert max(f.size_bytes for f in files) <= target * 1.8
    assert sum(f.size_bytes < target / 2 for f in files) <= 1
    assert sum(f.rows for f in files) == 100_000
    assert sorted(i for f in files for i in pq.read_table(path_of(f))["id"].to_pylist()) == list(range(100_000))
    assert len({f.location for f in files}) == len(files)
    for file in files:
        assert path_of(file).name.startswith("part-")
        assert path_of(file).suffix == ".parquet"
        assert file.size_bytes == path_of(file).stat().st_size
    assert {p for p in (tmp_path / "many").iterdir() if p.is_file()} == {path_of(f) for f in files}


@pytest.mark.parametrize("expected_bytes", [0, 10_000])
def test_no_rows_no_file(engine: Engine, tmp_path: Path, writer: str, expected_bytes: int) -> None:
    out = tmp_path / "out"
    assert write(engine, out, IDS, many(0), expected_bytes=expected_bytes, file_bytes=1000) == []
    assert not list(out.rglob("*.parquet"))


@pytest.mark.parametrize("folder", ["day=2024-03-01", "n=007", "b=true", "a b=%2F+"])
def test_folders_named_like_partitions(engine: Engine, tmp_path: Path, writer: str, folder: str) -> None:
    out = tmp_path / folder
    rows = many(10)
    for rolling in (1, 10_000):
        files = write(engine, out, IDS, rows, expected_bytes=rolling, file_bytes=9_000)
        for file in files:
            assert path_of(file).parent == out
            assert footer(file).schema.names == ["id", "s"]
        assert sum(f.rows for f in files) == 10


def test_a_failed_write_through_arrow_leaves_nothing(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "engine_writes", lambda _: False)
    schema = Schema(NestedField(1, "id", LongType()))
    rows = pa.table({"id": range(300_000)})
    settings = WriteSettings.from_properties(of_table("t", {}), schema)
    target = output.OutputTarget(f"file://{tmp_path}/out", "part-", 10, 300_000, 1 << 30)
    engine.connection.register("given", rows)
    with pytest.raises((duckdb.Error, OSError), match="broken"):
        output.write_rows(
            engine,
            "(SELECT CASE WHEN id = 250000 THEN error('broken') ELSE id END AS c1 FROM given)",
            schema,
            target,
            settings,
        )
    assert list((tmp_path / "out").iterdir()) == []


# ------------------------------------------------------------------------------------- metrics

FLAT = Schema(
    NestedField(1, "bo", BooleanType()),
    NestedField(2, "i", IntegerType()),
    NestedField(3, "n", LongType()),
    NestedField(4, "f", FloatType()),
    NestedField(5, "d", DoubleType()),
    NestedField(6, "d9", DecimalType(9, 2)),
    NestedField(7, "d18", DecimalType(18, 3)),
    NestedField(8, "d38", DecimalType(38, 4)),
    NestedField(9, "day", DateType()),
    NestedField(10, "t", TimeType()),
    NestedField(11, "ts", TimestampType()),
    NestedField(12, "tz", TimestamptzType()),
    NestedField(13, "s", StringType()),
    NestedField(14, "u", UUIDType()),
    NestedField(15, "b", BinaryType()),
    NestedField(
        16, "st", StructType(NestedField(17, "x", DoubleType(), False), NestedField(18, "y", StringType(), False))
    ),
    NestedField(19, "l", ListType(20, FloatType(), False)),
    NestedField(21, "m", MapType(22, StringType(), 23, DoubleType(), False)),
)
WITH_FIXED = Schema(*FLAT.fields, NestedField(24, "fx", FixedType(2)), NestedField(25, "d20", DecimalType(20, 2)))

FLOATS = [float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 1.1, -2.5, 3e-45]


def of(*values: Any) -> Callable[[random.Random], Any]:
    return lambda pick: pick.choice(values)


def moments(zone: dt.tzinfo | None) -> Callable[[random.Random], dt.datetime]:
    return lambda pick: dt.datetime(1970, 1, 1, tzinfo=zone) + dt.timedelta(microseconds=pick.randrange(-5, 5))


CELLS: dict[type, Callable[[random.Random], Any]] = {
    BooleanType: of(True, False),
    IntegerType: of(0, -1, 2**31 - 1, -(2**31), 300, -300),
    LongType: of(0, -1, 2**63 - 1, -(2**63), 300, -300),
    FloatType: of(*(float(numpy.float32(value)) for value in FLOATS)),
    DoubleType: of(*FLOATS),
    DateType: lambda pick: dt.date(1970, 1, 1) + dt.timedelta(days=pick.randrange(-3, 3)),
    TimeType: lambda pick: dt.time(pick.randrange(24), 0, 0, pick.randrange(10**6)),
    TimestampType: moments(None),
    TimestamptzType: moments(dt.UTC),
    StringType: of("", "a", "ab", "žluť", "\U0010ffff", "a" * 20, "z" * 30, "\x00", "\x7f"),
    UUIDType: of(*(uuid.UUID(int=value) for value in (0, 1, 2**127, 2**128 - 1))),
    BinaryType: of(b"", b"\x00", b"\xff", b"\xff" * 20, b"a" * 17),
    FixedType: of(b"\x00\x00", b"\xff\xff", b"a\x80"),
}


def random_cell(pick: random.Random, field_type: IcebergType) -> Any:
    match field_type:
        case DecimalType():
            most = 10**field_type.precision - 1
            number = pick.choice([0, -1, 127, 128, -128, -129, most, -most, pick.randrange(-most, most)])
            return Decimal(f"{number}E-{field_type.scale}")  # exact, whatever the context's precision
        case StructType():
            return {f.name: maybe(pick, f.field_type) for f in field_type.fields}
        case ListType():
            return [maybe(pick, field_type.element_type) for _ in range(pick.randrange(3))]
        case MapType():
            return [(key, maybe(pick, field_type.value_type)) for key in pick.sample("abc", pick.randrange(3))]
    return CELLS[type(field_type)](pick)


def maybe(pick: random.Random, field_type: IcebergType) -> Any:
    return None if pick.random() < 0.2 else random_cell(pick, field_type)


def random_rows(schema: Schema, count: int, seed: int) -> list[dict[str, Any]]:
    pick = random.Random(seed)
    return [{f.name: maybe(pick, f.field_type) for f in schema.fields} for _ in range(count)]


def stored(value: Any) -> Any:
    """Return a value as Iceberg's single-value serialization takes it, so that values order as bounds do."""
    match value:
        case uuid.UUID():
            return value.bytes
        case str():
            return value.encode()
    return ticks_of(value)


def true_bounds(schema: Schema, field_id: int, values: list[Any]) -> tuple[bytes, bytes] | None:
    field_type = schema.find_type(field_id)
    assert isinstance(field_type, PrimitiveType)
    present = sorted(stored(v) for v in values if v is not None and v == v)
    if not present or isinstance(field_type, UUIDType):  # readers order UUIDs differently: they have no bounds
        return None
    least, most = present[0], present[-1]
    if isinstance(field_type, FloatType | DoubleType):  # both zeros are one to the engine, two to Iceberg
        least, most = (-0.0 if least == 0 else least), (0.0 if most == 0 else most)
    if isinstance(field_type, StringType | BinaryType | FixedType):
        return least, most
    return to_bytes(field_type, least), to_bytes(field_type, most)


def columns_of(schema: Schema, rows: list[dict[str, Any]]) -> dict[int, list[Any]]:
    """Return the values of every leaf outside lists and maps, by field id."""
    found = {}
    for leaf in leaves(schema):
        if leaf.repeated:
            continue
        first, *path = leaf.name.split(".")
        column = [row[first] for row in rows]
        for part in path:
            column = [None if value is None else value[part] for value in column]
        found[leaf.field_id] = column
    return found


@pytest.mark.parametrize("schema", [FLAT, WITH_FIXED], ids=["engine-types", "all-types"])
@pytest.mark.parametrize("seed", range(4))
def test_metrics_say_what_is_in_the_file(
    engine: Engine, tmp_path: Path, writer: str, schema: Schema, seed: int
) -> None:
    rows = random_rows(schema, [1, 3, 30, 5000][seed], seed)
    properties = {"write.metadata.metrics.default": "full", "write.parquet.row-group-limit": "2048"}
    (file,) = write(engine, tmp_path / "out", schema, arrow_rows(schema, rows), properties=properties)
    assert_same_rows(pq.read_table(path_of(file)), arrow_rows(schema, rows))
    found = file.metrics
    columns = columns_of(schema, rows)
    floats = {i for i in columns if isinstance(schema.find_type(i), FloatType | DoubleType)}
    assert found["record_count"] == len(rows)
    for field_id, values in columns.items():
        assert found["value_counts"][field_id] == len(rows)
        assert found["null_value_counts"][field_id] == sum(v is None for v in values)
        bounds = true_bounds(schema, field_id, values)
        given_bounds = found["lower_bounds"].get(field_id), found["upper_bounds"].get(field_id)
        assert given_bounds == (bounds or (None, None)), schema.find_column_name(field_id)
    assert {i: n for i, n in found["nan_value_counts"].items() if i in floats} == {
        i: sum(v is not None and v != v for v in columns[i]) for i in floats
    }


@pytest.mark.parametrize("seed", range(2))
def test_nan_counts_within_lists_and_maps_are_true_or_not_given(
    engine: Engine, tmp_path: Path, writer: str, seed: int
) -> None:
    rows = random_rows(FLAT, 50, seed)
    (file,) = write(engine, tmp_path / "out", FLAT, arrow_rows(FLAT, rows))
    true = {
        20: sum(v != v for row in rows for v in row["l"] or [] if v is not None),
        23: sum(v != v for row in rows for _, v in row["m"] or [] if v is not None),
    }
    assert true[20]
    for field_id, count in true.items():
        assert file.metrics["nan_value_counts"].get(field_id, count) == count
        assert field_id not in file.metrics["lower_bounds"]
        assert field_id not in file.metrics["upper_bounds"]


def test_columns_of_nulls_and_of_nan_have_no_bounds(engine: Engine, tmp_path: Path, writer: str) -> None:
    rows = [dict.fromkeys((f.name for f in FLAT.fields), None) | {"f": float("nan")} for _ in range(3)]
    (file,) = write(engine, tmp_path / "out", FLAT, arrow_rows(FLAT, rows))
    assert file.metrics["lower_bounds"] == file.metrics["upper_bounds"] == {}
    assert file.metrics["nan_value_counts"][4] == 3
    assert file.metrics["null_value_counts"][4] == 0
    assert file.metrics["null_value_counts"][5] == 3
    assert file.metrics["nan_value_counts"][5] == 0


@pytest.mark.parametrize("zeros", [[0.0], [-0.0], [0.0, -0.0]])
def test_bounds_of_zero_hold_both_zeros(engine: Engine, tmp_path: Path, writer: str, zeros: list[float]) -> None:
    schema = Schema(NestedField(1, "d", DoubleType()))
    (file,) = write(engine, tmp_path / "out", schema, arrow_rows(schema, [{"d": z} for z in zeros]))
    assert file.metrics["lower_bounds"] == {1: struct.pack("<d", -0.0)}
    assert file.metrics["upper_bounds"] == {1: struct.pack("<d", 0.0)}


@pytest.mark.parametrize("precision", [9, 18, 20, 38])
@pytest.mark.parametrize(
    ("number", "stored"),
    [(0, "00"), (127, "7f"), (128, "0080"), (-1, "ff"), (-128, "80"), (-129, "ff7f"), (255, "00ff")],
)
def test_bounds_of_decimals_have_no_more_bytes_than_they_need(
    engine: Engine, tmp_path: Path, precision: int, number: int, stored: str
) -> None:
    schema = Schema(NestedField(1, "d", DecimalType(precision, 2)))
    (file,) = write(engine, tmp_path / "out", schema, arrow_rows(schema, [{"d": Decimal(f"{number}E-2")}]))
    assert file.metrics["lower_bounds"][1].hex() == file.metrics["upper_bounds"][1].hex() == stored


def test_sizes_and_offsets_are_those_of_the_footer(engine: Engine, tmp_path: Path, writer: str) -> None:
    rows = random_rows(FLAT, 10_000, 3)
    properties = {"write.parquet.row-group-limit": "4096", "write.metadata.metrics.default": "counts"}
    (file,) = write(engine, tmp_path / "out", FLAT, arrow_rows(FLAT, rows), properties=properties)
    known = duckdb.sql(
        "SELECT row_group_id, path_in_schema, total_compressed_size, coalesce(least(dictionary_page_offset, "
        f"data_page_offset), data_page_offset) FROM parquet_metadata('{path_of(file)}')"
    ).fetchall()
    groups = sorted({row[0] for row in known})
    assert len(groups) >= 3
    assert file.metrics["split_offsets"] == [min(row[3] for row in known if row[0] == group) for group in groups]
    assert file.metrics["split_offsets"][0] == 4
    paths = {leaf.path.replace(".", ", "): leaf.field_id for leaf in leaves(FLAT)}
    sizes: dict[int, int] = {}
    for _, path, size, _ in known:
        sizes[paths[path]] = sizes.get(paths[path], 0) + size
    assert file.metrics["column_sizes"] == sizes
    assert file.size_bytes == path_of(file).stat().st_size


def test_values_whose_range_the_footer_leaves_out_have_no_bounds(engine: Engine, tmp_path: Path, writer: str) -> None:
    """A row group with a huge value has no statistics; the other's bounds are not those of the file."""
    rows = pa.table({"id": range(5000), "s": ["m"] * 4999 + ["z" * 100_000]})
    properties = {"write.parquet.row-group-limit": "2048", "write.metadata.metrics.default": "full"}
    (file,) = write(engine, tmp_path / "out", IDS, rows, properties=properties)
    upper = file.metrics["upper_bounds"].get(2)
    assert upper is None or upper >= b"z" * 100_000
    assert file.metrics["lower_bounds"].get(2) in (None, b"m")
    assert file.metrics["null_value_counts"][2] == 0


# ------------------------------------------------------------------------------------- modes


def modes_of(schema: Schema, **properties: str) -> dict[str, Mode]:
    given_modes = column_modes(schema, of_table("t", {f"write.metadata.metrics.{k}": v for k, v in properties.items()}))
    return {leaf.name: given_modes[leaf.field_id] for leaf in leaves(schema)}


NONE, COUNTS, FULL = Mode(False, False), Mode(True, False), Mode(True, True)


def test_modes_of_columns() -> None:
    schema = Schema(
        NestedField(1, "a", LongType()),
        NestedField(2, "st", StructType(NestedField(3, "x", LongType(), False))),
        NestedField(4, "l", ListType(5, LongType(), False)),
    )
    assert modes_of(schema) == dict.fromkeys(("a", "st.x", "l.element"), Mode(True, True, 16))
    assert modes_of(schema, default="none") == dict.fromkeys(("a", "st.x", "l.element"), NONE)
    assert modes_of(schema, default="COUNTS", **{"column.st.x": "full"}) == {
        "a": COUNTS,
        "st.x": FULL,
        "l.element": COUNTS,
    }
    assert modes_of(schema, default="truncate(3)", **{"column.l.element": "none", "column.unknown": "full"}) == {
        "a": Mode(True, True, 3),
        "st.x": Mode(True, True, 3),
        "l.element": NONE,
    }


def test_wide_tables_infer_metrics_for_their_first_columns_only() -> None:
    wide = Schema(*(NestedField(i, f"c{i}", LongType()) for i in range(1, 103)))
    assert [name for name, mode in modes_of(wide).items() if mode == NONE] == ["c101", "c102"]
    assert NONE not in modes_of(wide, default="truncate(16)").values()
    few = modes_of(wide, **{"max-inferred-column-defaults": "2", "column.c50": "counts"})
    assert {name: mode for name, mode in few.items() if mode != NONE} == {
        "c1": Mode(True, True, 16),
        "c2": Mode(True, True, 16),
        "c50": COUNTS,
    }


@pytest.mark.parametrize(
    ("mode", "counts", "bounds"),
    [
        ("none", False, None),
        ("counts", True, None),
        ("full", True, ("a" * 20, "z" * 20)),
        ("truncate(16)", True, ("a" * 16, "z" * 15 + "{")),
        ("truncate(1)", True, ("a", "{")),
        ("truncate(100)", True, ("a" * 20, "z" * 20)),
    ],
)
def test_modes_decide_what_is_kept(
    engine: Engine, tmp_path: Path, writer: str, mode: str, counts: bool, bounds: tuple[str, str] | None
) -> None:
    rows = pa.table({"id": [1, 2], "s": ["a" * 20, "z" * 20]})
    (file,) = write(engine, tmp_path, IDS, rows, properties={"write.metadata.metrics.column.s": mode})
    for name in ("column_sizes", "value_counts", "null_value_counts"):
        assert (2 in file.metrics[name]) is counts
        assert 1 in file.metrics[name]
    kept = file.metrics["lower_bounds"].get(2), file.metrics["upper_bounds"].get(2)
    assert kept == (tuple(b.encode() for b in bounds) if bounds else (None, None))
    assert file.metrics["record_count"] == 2
    assert file.metrics["split_offsets"] == [4]


def test_nan_is_not_counted_where_nothing_is(engine: Engine, tmp_path: Path, writer: str) -> None:
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "d", DoubleType()))
    rows = arrow_rows(schema, [{"id": 1, "d": float("nan")}])
    for mode, counts in (("none", {}), ("counts", {2: 1})):
        (file,) = write(engine, tmp_path, schema, rows, properties={"write.metadata.metrics.default": mode})
        assert file.metrics["nan_value_counts"] == counts
        assert file.metrics["lower_bounds"] == {}


@pytest.mark.parametrize(
    ("value", "length", "lower", "upper"),
    [
        ("abc", 3, "abc", "abc"),
        ("abcd", 3, "abc", "abd"),
        ("žluť", 2, "žl", "žm"),
        ("a\U0010ffffb", 2, "a\U0010ffff", "b"),
        ("\U0010ffff\U0010ffff", 1, "\U0010ffff", None),
        ("a\ud7ffb", 2, "a\ud7ff", "a\ue000"),  # the next code point would be half a surrogate pair
        ("\U0001f600\U0001f600", 1, "\U0001f600", "\U0001f601"),
        ("a\x7fb", 2, "a\x7f", "a\x80"),
        ("", 1, "", ""),
    ],
)
def test_bounds_of_strings_are_cut_by_characters(value: str, length: int, lower: str, upper: str | None) -> None:
    assert _cut_lower(value.encode(), StringType(), length) == lower.encode()
    assert _cut_upper(value.encode(), StringType(), length) == (None if upper is None else upper.encode())


@pytest.mark.parametrize(
    ("value", "length", "lower", "upper"),
    [
        (b"abc", 3, b"abc", b"abc"),
        (b"abcd", 3, b"abc", b"abd"),
        (b"a\xff\xffb", 3, b"a\xff\xff", b"b"),
        (b"\xff\xff", 1, b"\xff", None),
        (b"\xff", 1, b"\xff", b"\xff"),
        (b"a\x00\x00", 2, b"a\x00", b"a\x01"),
    ],
)
def test_bounds_of_bytes_are_cut_by_bytes(value: bytes, length: int, lower: bytes, upper: bytes | None) -> None:
    assert _cut_lower(value, BinaryType(), length) == lower
    assert _cut_upper(value, BinaryType(), length) == upper


@given(value=st.text() | st.text("\ud7ff\U0010ffff\uffff\x7fa"), length=st.integers(1, 6))
def test_cut_bounds_of_strings_hold(value: str, length: int) -> None:
    raw = value.encode()
    lower, upper = _cut_lower(raw, StringType(), length), _cut_upper(raw, StringType(), length)
    assert lower is not None
    assert lower <= raw
    assert len(lower.decode()) <= length
    if upper is None:
        assert value[:length] == "\U0010ffff" * length
    else:
        assert upper >= raw
        assert len(upper.decode()) <= length


@given(value=st.binary() | st.lists(st.sampled_from([0xFF, 0xFE, 0])).map(bytes), length=st.integers(1, 6))
def test_cut_bounds_of_bytes_hold(value: bytes, length: int) -> None:
    lower, upper = _cut_lower(value, BinaryType(), length), _cut_upper(value, BinaryType(), length)
    assert lower is not None
    assert lower <= value
    assert len(lower) <= length
    if upper is None:
        assert value[:length] == b"\xff" * length
    else:
        assert upper >= value
        assert len(upper) <= length


@pytest.mark.parametrize("field_type", [LongType(), FixedType(20), UUIDType(), DecimalType(38, 2)])
def test_only_strings_and_bytes_are_cut(field_type: PrimitiveType) -> None:
    assert _cut_lower(b"0123456789", field_type, 2) == _cut_upper(b"0123456789", field_type, 2) == b"0123456789"
