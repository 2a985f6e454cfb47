"""A table's sort order as ORDER BY."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from pyiceberg.schema import Schema
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    VoidTransform,
    YearTransform,
)
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    FixedType,
    IcebergType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from autostream.errors import UnsupportedTableError
from autostream.lake.engine.casts import duckdb_type
from autostream.lake.engine.column_projection import field_path, field_sql
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.sql_text import text


def order_by(engine: Engine, order: SortOrder, schema: Schema) -> str:
    """Return the ORDER BY clause of a sort order over columns `c<id>`; empty for an unsorted table.

    Raises:
        UnsupportedTableError: it sorts by a transform that is not known.
    """
    terms = [term for field in order.fields if (term := _term(engine, field, schema))]
    return f" ORDER BY {', '.join(terms)}" if terms else ""


def _term(engine: Engine, field: SortField, schema: Schema) -> str | None:
    value = _transformed(
        engine, field, field_sql(field_path(schema, field.source_id)), schema.find_type(field.source_id)
    )
    if value is None:
        return None
    direction = "DESC" if field.direction == SortDirection.DESC else "ASC"
    nulls = "LAST" if field.null_order == NullOrder.NULLS_LAST else "FIRST"
    return f"{value} {direction} NULLS {nulls}"


def _transformed(engine: Engine, field: SortField, sql: str, source: IcebergType) -> str | None:
    match field.transform:
        case IdentityTransform():
            return sql
        case VoidTransform():
            return None
        case YearTransform() | MonthTransform() | DayTransform() | HourTransform() as part:
            # Near the ends of what the engine has it cannot cut: such values are in order as they are.
            return f"coalesce(CAST(try(date_trunc({text(str(part))}, {sql})) AS {duckdb_type(source)}), {sql})"
        case TruncateTransform() as cut:
            width = cut.width
            if isinstance(source, StringType):
                return f"left({sql}, {width})"
            if isinstance(source, BinaryType | FixedType):
                return f"left(hex({sql}), {2 * width})"
            if isinstance(source, DecimalType):  # truncated by its unscaled value
                sql = f"replace(CAST({sql} AS VARCHAR), '.', '')"
            wide = f"CAST({sql} AS HUGEINT)"  # the least numbers truncate to below their type
            return f"({wide} - ((({wide} % {width}) + {width}) % {width}))"
        case BucketTransform() as bucket:
            return _bucket(engine, bucket, sql, source)
    raise UnsupportedTableError(
        f"The table's sort order uses the unknown transform {field.transform}. Compact it with another engine, or "
        "change its sort order."
    )


def _bucket(engine: Engine, transform: BucketTransform[int], sql: str, source: IcebergType) -> str:
    """Return the SQL of a bucket number, by PyIceberg's hash as a function of the session."""
    kind = type(source)
    parse: Callable[[Any], Any]
    if kind in (DateType, TimeType, TimestampType, TimestamptzType):
        argument, parameter, parse = _number(sql, kind), "BIGINT", int
    elif kind in (DecimalType, UUIDType):
        argument, parameter, parse = f"CAST({sql} AS VARCHAR)", "VARCHAR", Decimal if kind is DecimalType else UUID
    elif kind is StringType:
        argument, parameter, parse = sql, "VARCHAR", str
    elif kind in (BinaryType, FixedType):
        argument, parameter, parse = sql, "BLOB", bytes
    else:
        argument, parameter, parse = f"CAST({sql} AS BIGINT)", "BIGINT", int
    hashed = transform.transform(source)
    name = f"iceberg_bucket_{engine.scratch('').name}"
    engine.connection.create_function(name, lambda value: hashed(parse(value)), [parameter], "INTEGER")
    return f"{name}({argument})"


def _number(sql: str, kind: type[IcebergType]) -> str:
    """Return the SQL of the number that a date or time is stored as."""
    if kind is DateType:
        return f"({sql} - DATE '1970-01-01')"
    if kind is TimeType:
        return f"epoch_us({sql})"
    # The largest numbers are infinity to the engine, which has no microseconds.
    return (
        f"CASE WHEN isfinite({sql}) THEN epoch_us({sql}) WHEN {sql} > '2000-01-01' THEN {2**63 - 1} "
        f"WHEN {sql} IS NOT NULL THEN {1 - 2**63} END"
    )
