"""Which types of a file are read as which types of a column, by what SQL: the spec's promotions, or lossless.

An SQL cast converts what it can: it rounds, parses and cuts. So it is used where a value stays the same for certain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
    PrimitiveType,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from autostream.errors import UnsupportedTableError
from autostream.lake.engine.parquet_schema import FIXED, PhysicalField
from autostream.lake.engine.sql_text import quoted, text

_TYPES: Mapping[type[IcebergType], str] = {
    BooleanType: "BOOLEAN",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    FloatType: "FLOAT",
    DoubleType: "DOUBLE",
    DateType: "DATE",
    TimeType: "TIME",
    TimestampType: "TIMESTAMP",
    TimestamptzType: "TIMESTAMP WITH TIME ZONE",
    StringType: "VARCHAR",
    UUIDType: "UUID",
    FixedType: "BLOB",
    BinaryType: "BLOB",
}


def duckdb_type(field_type: IcebergType) -> str:
    """Return the DuckDB type that holds an Iceberg type.

    Raises:
        UnsupportedTableError: it is none of format version 2.
    """
    match field_type:
        case DecimalType():
            return f"DECIMAL({field_type.precision},{field_type.scale})"
        case StructType():
            return (
                "STRUCT(" + ", ".join(f"{quoted(f.name)} {duckdb_type(f.field_type)}" for f in field_type.fields) + ")"
            )
        case ListType():
            return duckdb_type(field_type.element_type) + "[]"
        case MapType():
            return f"MAP({duckdb_type(field_type.key_type)}, {duckdb_type(field_type.value_type)})"
        case _ if type(field_type) in _TYPES:
            return _TYPES[type(field_type)]
    raise UnsupportedTableError(
        f"Column type {field_type} does not exist in format version 2. Compact the table with another engine."
    )


def read_as(field: PhysicalField, target: IcebergType, sql: str) -> str | None:
    """Return the SQL that reads a file's primitive field as a column's type; None where values could change.

    It is `sql` itself where nothing is to be done. NULL stays NULL.
    """
    if field.type == '"NULL"':  # a column of nothing but NULL may be stored as of no type
        return f"NULL::{duckdb_type(target)}"
    return _READERS[type(target)](field, target, sql) if isinstance(target, PrimitiveType) else None


def as_key(sql: str, field_type: IcebergType) -> str:
    """Return the SQL by which a value is compared with a deleted one.

    As Java does: 0.0 and -0.0 are two values, NaN is one. To the engine the zeros are equal, their texts are not.
    """
    if isinstance(field_type, FloatType | DoubleType):
        return f"CASE WHEN isnan({sql}) THEN 'nan' ELSE CAST({sql} AS VARCHAR) END"
    return sql


Reader = Callable[[PhysicalField, PrimitiveType, str], str | None]

# Units finer than microseconds are cut towards the past. The numbers at the ends are the engine's infinities.
_NANOSECONDS = (
    "coalesce(make_{name}(epoch_ns({sql}) // 1000 - CASE WHEN epoch_ns({sql}) % 1000 < 0 THEN 1 ELSE 0 END), "
    "CASE WHEN {sql} > '2000-01-01'::{stored} THEN make_{name}(9223372036854775) "
    "WHEN {sql} IS NOT NULL THEN make_{name}(-9223372036854776) END)"
)


def _same_or_cast(*lossless: str) -> Reader:
    """Return a reader of the column's own type, and of those from which a cast changes no value."""

    def read(field: PhysicalField, target: PrimitiveType, sql: str) -> str | None:
        wanted = duckdb_type(target)
        if field.type == wanted and not _is_stand_in(field):
            return sql
        return f"CAST({sql} AS {wanted})" if field.type in lossless and not _is_stand_in(field) else None

    return read


def _is_stand_in(field: PhysicalField) -> bool:
    """Say whether the engine reads a decimal wider than it has as the nearest floating-point number."""
    return field.type == "DOUBLE" and field.stored not in ("", "DOUBLE")


def _decimal(field: PhysicalField, target: PrimitiveType, sql: str) -> str | None:
    assert isinstance(target, DecimalType)
    wanted = duckdb_type(target)
    if field.type == wanted:
        return sql
    narrower = {f"DECIMAL({precision},{target.scale})" for precision in range(1, target.precision)}
    return f"CAST({sql} AS {wanted})" if field.type in narrower else None


def _date(field: PhysicalField, _: PrimitiveType, sql: str) -> str | None:
    if field.type == "DATE":
        return sql
    return f"(DATE '1970-01-01' + {sql})" if field.stored == "INT32" else None


def _time(field: PhysicalField, _: PrimitiveType, sql: str) -> str | None:
    match field.type:
        case "TIME":
            return sql
        case "TIME WITH TIME ZONE":
            return f"CAST({sql} AS TIME)"
        case "TIME_NS":
            return f"(TIME '00:00:00' + to_microseconds(epoch_ns({sql}) // 1000))"
    return None


def _timestamp(field: PhysicalField, target: PrimitiveType, sql: str) -> str | None:
    """Read local times as instants and the reverse by their number, as Java does: writers mix them up."""
    wanted = duckdb_type(target)
    match field.type:
        case "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE":
            return sql if field.type == wanted else f"CAST({sql} AS {wanted})"
        case "TIMESTAMP_NS" | "TIMESTAMPTZ_NS":
            name = "timestamp" if wanted == "TIMESTAMP" else "timestamptz"
            return _NANOSECONDS.format(sql=sql, name=name, stored=field.type)
    return None


def _string(field: PhysicalField, _: PrimitiveType, sql: str) -> str | None:
    if field.type == "VARCHAR":
        return sql
    # The bytes are the text, whether the writer says so or not.
    return f"decode({sql})" if field.stored in ("BYTE_ARRAY", "BYTE_ARRAY (ENUM)") else None


def _uuid(field: PhysicalField, _: PrimitiveType, sql: str) -> str | None:
    if field.type == "UUID":
        return sql
    return f"CAST(lower(hex({sql})) AS UUID)" if field.stored in (f"{FIXED}(16)", "BYTE_ARRAY") else None


def _fixed(field: PhysicalField, target: PrimitiveType, sql: str) -> str | None:
    length = len(target)  # type: ignore[arg-type]
    if field.stored == f"{FIXED}({length})":
        return sql
    if field.stored != "BYTE_ARRAY":
        return None
    wrong = text(f"A value of a column of type fixed[{length}] has another length.")
    return f"CASE WHEN octet_length({sql}) <> {length} THEN error({wrong}) ELSE {sql} END"


def _binary(field: PhysicalField, _: PrimitiveType, sql: str) -> str | None:
    if field.type == "BLOB":
        return sql
    return f"encode({sql})" if field.type == "VARCHAR" else None


_READERS: Mapping[type[IcebergType], Reader] = {
    BooleanType: _same_or_cast(),
    IntegerType: _same_or_cast("TINYINT", "SMALLINT", "UTINYINT", "USMALLINT"),
    LongType: _same_or_cast("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"),
    FloatType: _same_or_cast(),
    DoubleType: _same_or_cast("FLOAT"),
    DecimalType: _decimal,
    DateType: _date,
    TimeType: _time,
    TimestampType: _timestamp,
    TimestamptzType: _timestamp,
    StringType: _string,
    UUIDType: _uuid,
    FixedType: _fixed,
    BinaryType: _binary,
}
