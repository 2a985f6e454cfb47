"""Why a `--where` that can be parsed does not fit a table: which column, which value, and what to write. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Final

from pyiceberg.expressions import (
    And,
    BooleanExpression,
    EqualTo,
    GreaterThan,
    GreaterThanOrEqual,
    LessThan,
    LessThanOrEqual,
    LiteralPredicate,
    Not,
    NotStartsWith,
    Or,
    Reference,
    SetPredicate,
    StartsWith,
    UnboundPredicate,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import DateType, IcebergType, StringType, TimestampType, TimestamptzType

from autostream.spelling import one_of

_EXAMPLES: Final = {
    "boolean": "true",
    "int": "5",
    "long": "5",
    "float": "1.5",
    "double": "1.5",
    "date": "'2026-11-23'",
    "time": "'07:30:00'",
    "timestamp": "'2026-11-23T07:30:00'",
    "timestamptz": "'2026-11-23T07:30:00+00:00'",
    "uuid": "'f79c3e09-677c-4bbd-a479-3f349cb785e7'",
}
_UNITS: Final[dict[type, tuple[str, str]]] = {
    YearTransform: ("year", r"\d{4}"),
    MonthTransform: ("month", r"\d{4}-\d{2}"),
    DayTransform: ("day", r"\d{4}-\d{2}-\d{2}"),
    HourTransform: ("hour", r"\d{4}-\d{2}-\d{2}[-T ]\d{2}"),
}


def explain_misfit(
    expression: BooleanExpression, schema: Schema, specs: Iterable[PartitionSpec], error: Exception
) -> str:
    """Return why an expression cannot be bound to a schema.

    Args:
        expression: the expression.
        schema: the schema it speaks of.
        specs: the table's partition specs, whose fields people take for columns.
        error: what binding said; told where nothing better is known.
    """
    for predicate in _predicates(expression):
        name = _name(predicate)
        if name not in schema.column_names:
            return _unknown(predicate, name, schema, specs)
        try:
            predicate.bind(schema, case_sensitive=True)
            require_texts_in_patterns(predicate, schema)
        except (ValueError, TypeError):
            return _wrong_value(predicate, name, schema.find_type(name))
    return f"{error}."


def require_texts_in_patterns(expression: BooleanExpression, schema: Schema) -> None:
    """Refuse LIKE on columns of other types than text: PyIceberg binds it, and fails later.

    Raises:
        TypeError: there is such a column.
    """
    for predicate in _predicates(expression):
        name = _name(predicate)
        if isinstance(predicate, StartsWith | NotStartsWith) and not isinstance(schema.find_type(name), StringType):
            raise TypeError(name)


def _predicates(expression: BooleanExpression) -> Iterator[UnboundPredicate]:
    match expression:
        case And(left=left, right=right) | Or(left=left, right=right):
            yield from _predicates(left)
            yield from _predicates(right)
        case Not(child=child):
            yield from _predicates(child)
        case UnboundPredicate():
            yield expression


def _name(predicate: UnboundPredicate) -> str:
    return predicate.term.name if isinstance(predicate.term, Reference) else str(predicate.term)


def _unknown(predicate: UnboundPredicate, name: str, schema: Schema, specs: Iterable[PartitionSpec]) -> str:
    for field in (field for spec in specs for field in spec.fields):
        if field.name == name:
            return _partition_field(predicate, field, schema)
    return f"unknown column {name}. {one_of(name, schema.column_names, 'Columns')}"


def _partition_field(predicate: UnboundPredicate, field: PartitionField, schema: Schema) -> str:
    """Say which column a partition field is made of, and how that one is compared."""
    column = schema.find_column_name(field.source_id)
    if column is None:
        return f"{field.name} is a partition field, and its source column was dropped."
    what = f"{field.name} is a partition field of column {column}"
    match field.transform:
        case BucketTransform() | TruncateTransform():
            return f"{what} ({field.transform}). Compare {column} instead: it determines the partition."
        case IdentityTransform():
            return f"{what}. Compare {column} instead."
    unit, form = _UNITS.get(type(field.transform), ("", ""))
    if not unit:
        return f"{what} ({field.transform}). Compare {column} instead."
    wanted = _as_range(predicate, column, unit, form, schema.find_type(field.source_id))
    return f"{what} (its {unit}). Compare the column instead: {wanted}"


def _as_range(predicate: UnboundPredicate, column: str, unit: str, form: str, kind: IcebergType) -> str:
    """Return the comparison of a column that selects what a comparison of its year, month, day or hour means."""
    text = str(predicate.literal.value).strip() if isinstance(predicate, LiteralPredicate) else ""
    if not re.fullmatch(form, text):
        return f"{column} >= {_EXAMPLES[str(kind)]}"
    try:
        numbers = [int(part) for part in re.split(r"[-T ]", text)]
        first = dt.datetime(*[*numbers, 1, 1][: max(3, len(numbers))])  # type: ignore[arg-type]
        after = _following(first, unit)
    except (ValueError, OverflowError):
        return f"{column} >= {_EXAMPLES[str(kind)]}"
    start, end = (_literal(instant, kind) for instant in (first, after))
    match predicate:
        case EqualTo():
            return f"{column} >= {start} AND {column} < {end}"
        case GreaterThan():
            return f"{column} >= {end}"
        case LessThan():
            return f"{column} < {start}"
        case LessThanOrEqual():
            return f"{column} < {end}"
        case GreaterThanOrEqual():
            return f"{column} >= {start}"
    return f"{column} < {start} OR {column} >= {end}"


def _following(start: dt.datetime, unit: str) -> dt.datetime:
    match unit:
        case "year":
            return start.replace(year=start.year + 1)
        case "month":
            return (start + dt.timedelta(days=31)).replace(day=1)
        case "day":
            return start + dt.timedelta(days=1)
    return start + dt.timedelta(hours=1)


def _literal(instant: dt.datetime, kind: IcebergType) -> str:
    if isinstance(kind, DateType):
        return f"'{instant.date()}'"
    return f"'{instant.isoformat()}{'+00:00' if isinstance(kind, TimestamptzType) else ''}'"


def _as_timestamp(text: str, kind: IcebergType) -> str | None:
    """Return a date as the instant that it begins with."""
    try:
        return _literal(dt.datetime.combine(dt.date.fromisoformat(text), dt.time()), kind)
    except ValueError:
        return None


def _wrong_value(predicate: UnboundPredicate, name: str, kind: IcebergType) -> str:
    if isinstance(predicate, StartsWith | NotStartsWith) and not isinstance(kind, StringType):
        return f"LIKE compares texts, and column {name} is of type {kind}."
    literals = list(predicate.literals) if isinstance(predicate, SetPredicate) else []
    if isinstance(predicate, LiteralPredicate):
        literals = [predicate.literal]
    value = ", ".join(sorted(repr(literal.value) for literal in literals)) or "this"
    example = _EXAMPLES.get(str(kind), f"'{literals[0].value}'" if literals and isinstance(kind, StringType) else "")
    if literals and isinstance(kind, TimestampType | TimestamptzType):
        example = _as_timestamp(str(literals[0].value), kind) or example
    if not example:
        return f"column {name} is of type {kind} and cannot be compared with {value}."
    return f"column {name} is of type {kind} and cannot be compared with {value}. Write, for example, {example}."
