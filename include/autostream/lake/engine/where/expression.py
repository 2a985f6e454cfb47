"""`--where`: an expression as PyIceberg parses it, as a test of partitions and files and as SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any
from uuid import UUID

from pyiceberg.expressions import (
    AlwaysFalse,
    AlwaysTrue,
    And,
    BooleanExpression,
    BoundPredicate,
    BoundTerm,
    EqualTo,
    In,
    LessThan,
    LessThanOrEqual,
    Not,
    Or,
    Reference,
    UnboundPredicate,
)
from pyiceberg.expressions.literals import Literal
from pyiceberg.expressions.parser import parse
from pyiceberg.expressions.visitors import (
    BooleanExpressionVisitor,
    BoundBooleanExpressionVisitor,
    _InclusiveMetricsEvaluator,
    bind,
    expression_evaluator,
    inclusive_projection,
    rewrite_not,
    visit,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.transforms import DayTransform, TimeTransform, TruncateTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from autostream.errors import UsageError
from autostream.iceberg.files import FileTest, LiveFile
from autostream.iceberg.manifests import partition_type
from autostream.iceberg.proven_metrics import ProvenMetrics
from autostream.iceberg.state import is_unpartitioned
from autostream.lake.engine.casts import duckdb_type
from autostream.lake.engine.where.column_misfits import explain_misfit, require_texts_in_patterns
from autostream.lake.engine.where.syntax_faults import EXAMPLE, Fault, find_fault, point_at


def parse_where(
    where: str | None, *, schema: Schema | None = None, specs: Iterable[PartitionSpec] = ()
) -> BooleanExpression:
    """Return the expression that a `--where` spells, without NOT; none selects everything.

    `NOT a > 1` is `a <= 1`, which NULL is not: so PyIceberg judges files, and so rows have to be judged.

    Args:
        where: the text.
        schema: the schema that it speaks of, if that is known; the message is better then.
        specs: the partition specs of the table.

    Raises:
        UsageError: it cannot be read; says where, and what to write.
    """
    if where is None:
        return AlwaysTrue()
    try:
        return rewrite_not(parse(where))
    except Exception as error:  # pyparsing's, and ValueError for literals
        fault = find_fault(where)
        if fault is None:
            position = getattr(error, "loc", None) or 0
            fault = Fault(position, "Its syntax is wrong from here on.")
        if fault.repaired is not None and schema is not None:
            _refuse_repaired(fault.repaired, schema, specs, where)
        raise UsageError(
            f"Invalid filter (--where). {fault.reason} An example: {EXAMPLE}\n{point_at(where, fault.position)}"
            if fault.repaired is None
            else f"Invalid filter (--where). {fault.reason}\n{point_at(where, fault.position)}"
        ) from error


def _refuse_repaired(repaired: str, schema: Schema, specs: Iterable[PartitionSpec], where: str) -> None:
    """Say at once what would be wrong with an expression once its first fault is mended."""
    try:
        expression = rewrite_not(parse(repaired))
    except Exception:  # it has another fault: the first one is told first
        return
    try:
        bind_where(expression, schema, specs)
    except UsageError as error:
        raise UsageError(f"{error}\n    {where}") from error


def bind_where(expression: BooleanExpression, schema: Schema, specs: Iterable[PartitionSpec] = ()) -> BooleanExpression:
    """Bind an expression to a schema.

    Args:
        expression: the expression.
        schema: the schema.
        specs: the table's partition specs: people take their fields for columns, which the message explains.

    Raises:
        UsageError: it names a column that the table lacks, or compares one with a value of another type.
    """
    try:
        bound = bind(schema, expression, case_sensitive=True)
        require_texts_in_patterns(expression, schema)
    except (ValueError, TypeError) as error:
        reason = explain_misfit(expression, schema, specs, error)
        raise UsageError(f"The filter (--where) does not fit the table: {reason}") from error
    return bound


def may_match(expression: BooleanExpression, metadata: TableMetadata, schema: Schema) -> FileTest:
    """Return a test that is false only for data files in which no row can match, by partition and by column bounds.

    `schema` is the one that the expression speaks of: that of the snapshot being read.
    """
    if isinstance(expression, AlwaysTrue):
        return lambda _: True
    by_partition = partition_may_match(expression, metadata, schema)
    types = {i: schema.find_type(i) for i in visit(bind_where(expression, schema), _Columns())}
    by_metrics = _InclusiveMetricsEvaluator(schema, expression, case_sensitive=True)
    return lambda file: by_partition(file) and by_metrics.eval(ProvenMetrics.of(file, types))  # type: ignore[arg-type]


def partition_may_match(
    expression: BooleanExpression, metadata: TableMetadata, schema: Schema | None = None
) -> FileTest:
    """Return a test that is false only for files in whose partition no row can match."""
    evaluators: dict[int, Callable[[Any], bool]] = {}

    def test(file: LiveFile) -> bool:
        if file.spec_id not in evaluators:
            evaluators[file.spec_id] = _partition_evaluator(
                expression, metadata, metadata.specs()[file.spec_id], schema or metadata.schema()
            )
        return file.entry is None or evaluators[file.spec_id](file.entry.partition)

    return test


def _partition_evaluator(
    expression: BooleanExpression, metadata: TableMetadata, spec: PartitionSpec, schema: Schema
) -> Callable[[Any], bool]:
    if is_unpartitioned(spec):
        return lambda _: True
    projected = visit(inclusive_projection(schema, spec, case_sensitive=True)(expression), _WiderTimes(schema, spec))
    struct = partition_type(metadata, spec)
    test = expression_evaluator(Schema(*struct.fields), projected, case_sensitive=True)
    widths = {
        i: part.transform.width
        for i, (part, field) in enumerate(zip(spec.fields, struct.fields, strict=True))
        if isinstance(part.transform, TruncateTransform) and isinstance(field.field_type, IntegerType | LongType)
    }

    def admits(partition: Record) -> bool:
        # Java truncates the least numbers beyond the end of their type; what it gets is no multiple of the width.
        overflown = any((partition[i] or 0) % width for i, width in widths.items())
        return overflown or test(_as_literals(partition))

    return admits


def _as_literals(partition: Record) -> Record:
    """Return partition values as PyIceberg's literals are: it compares bytes with the UUIDs that it reads."""
    values = (partition[i] for i in range(len(partition)))
    return Record(*(value.bytes if isinstance(value, UUID) else value for value in values))


class _WiderTimes(BooleanExpressionVisitor[BooleanExpression]):
    """Widens what is asked of year, month, day and hour partitions before 1970 by one partition.

    Iceberg up to 0.10 rounded values before 1970 towards zero, into the partition after theirs. As Java does since.
    """

    def __init__(self, schema: Schema, spec: PartitionSpec) -> None:
        """Know the partition fields of a spec by their names."""
        exact = {f.field_id for f in schema.fields if isinstance(f.field_type, DateType)}
        self._names = {
            part.name
            for part in spec.fields
            if isinstance(part.transform, TimeTransform)
            and not (isinstance(part.transform, DayTransform) and part.source_id in exact)
        }

    def visit_true(self) -> BooleanExpression:
        return AlwaysTrue()

    def visit_false(self) -> BooleanExpression:
        return AlwaysFalse()

    def visit_not(self, child_result: BooleanExpression) -> BooleanExpression:
        return Not(child_result)

    def visit_and(self, left_result: BooleanExpression, right_result: BooleanExpression) -> BooleanExpression:
        return And(left_result, right_result)

    def visit_or(self, left_result: BooleanExpression, right_result: BooleanExpression) -> BooleanExpression:
        return Or(left_result, right_result)

    def visit_unbound_predicate(self, predicate: UnboundPredicate) -> BooleanExpression:
        if not isinstance(predicate.term, Reference) or predicate.term.name not in self._names:
            return predicate
        match predicate:
            case LessThan() | LessThanOrEqual() if predicate.literal.value < 0:
                return type(predicate)(predicate.term, value=predicate.literal.value + 1)  # type: ignore[call-arg]
            case EqualTo():
                return _one_of(predicate.term, {predicate.literal.value})
            case In():
                return _one_of(predicate.term, {literal.value for literal in predicate.literals})
        return predicate

    def visit_bound_predicate(self, predicate: BoundPredicate) -> BooleanExpression:
        return predicate


def _one_of(term: Reference, values: set[int]) -> BooleanExpression:
    return In(term, literals=values | {value + 1 for value in values if value < 0})  # type: ignore[call-arg]


def require_partition_columns(expression: BooleanExpression, metadata: TableMetadata) -> None:
    """Refuse an expression that is not about partition columns only: compaction works on whole partitions.

    Raises:
        UsageError: it names another column.
    """
    if isinstance(expression, AlwaysTrue):
        return
    bound = bind_where(expression, metadata.schema(), metadata.specs().values())
    named = visit(bound, _Columns())
    sources = {field.source_id for spec in metadata.specs().values() for field in spec.fields}
    foreign = {field_id: name for field_id, name in named.items() if field_id not in sources}
    if foreign:
        known = sorted({metadata.schema().find_column_name(i) or "" for i in sources} - {""})
        raise UsageError(
            f"--where names {', '.join(sorted(foreign.values()))}, which is not a partition column. Compaction takes "
            "whole partitions, so --where can use only "
            f"{', '.join(known) or 'partition columns, and the table has none'}."
        )


class _Columns(BoundBooleanExpressionVisitor[dict[int, str]]):
    """Collects the columns that an expression names."""

    def _term(self, term: BoundTerm, literal: Any = None, literals: Any = None) -> dict[int, str]:
        field = term.ref().field
        return {field.field_id: field.name}

    visit_in = visit_not_in = _term  # type: ignore[assignment]
    visit_equal = visit_not_equal = visit_is_nan = visit_not_nan = visit_is_null = visit_not_null = _term
    visit_greater_than_or_equal = visit_greater_than = visit_less_than = visit_less_than_or_equal = _term
    visit_starts_with = visit_not_starts_with = _term

    def visit_true(self) -> dict[int, str]:
        return {}

    visit_false = visit_true

    def visit_not(self, child_result: dict[int, str]) -> dict[int, str]:
        return child_result

    def visit_and(self, left_result: dict[int, str], right_result: dict[int, str]) -> dict[int, str]:
        return {**left_result, **right_result}

    visit_or = visit_and


def sql_literal(value: Any, field_type: IcebergType) -> str:
    """Return a value, in the form PyIceberg keeps it, as an SQL literal of the column's type."""
    match field_type:
        case StringType():
            return "'" + str(value).replace("'", "''") + "'"
        case UUIDType():
            return f"'{value}'::UUID" if not isinstance(value, bytes) else f"'{value.hex()}'::UUID"
        case BinaryType() | FixedType():
            return f"from_hex('{bytes(value).hex()}')"
        case FloatType() | DoubleType() | DecimalType():
            return f"'{value}'::{duckdb_type(field_type)}"
        case DateType():
            days = value if isinstance(value, int) else (value - date(1970, 1, 1)).days
            return _or_infinity("DATE", 31, days, "(DATE '1970-01-01' + ({}))")
        case TimeType():
            return f"(TIME '00:00:00' + to_microseconds({int(value)}))"
        case TimestampType():
            return _or_infinity("TIMESTAMP", 63, value, "make_timestamp({})")
        case TimestamptzType():
            return _or_infinity("TIMESTAMPTZ", 63, value, "make_timestamptz({})")
        case _:  # booleans and whole numbers
            return str(value)


def _or_infinity(name: str, bits: int, value: int, sql: str) -> str:
    """Return the SQL of a number as a date or timestamp: the largest ones are infinity to the engine."""
    if abs(value) == 2**bits - 1:
        return f"'{'-' if value < 0 else ''}infinity'::{name}"
    return sql.format(value)


class SqlFilter(BoundBooleanExpressionVisitor[str]):
    """Turns a bound expression into an SQL condition with Iceberg's meaning of NULL and NaN."""

    def __init__(self, column: Callable[[int], str]) -> None:
        """`column` gives the SQL of a column by its field id."""
        self._column = column

    def _of(self, term: BoundTerm) -> tuple[str, IcebergType]:
        field = term.ref().field
        return self._column(field.field_id), field.field_type

    def _compare(self, term: BoundTerm, operator: str, literal: Literal[Any]) -> str:
        column, field_type = self._of(term)
        condition = f"{column} {operator} {sql_literal(literal.value, field_type)}"
        if isinstance(field_type, FloatType | DoubleType):  # NaN compares with nothing; the engine orders it above all
            condition += f" AND NOT isnan({column})"
        return f"coalesce({condition}, false)"

    def visit_in(self, term: BoundTerm, literals: set[Any]) -> str:
        column, field_type = self._of(term)
        values = ", ".join(sorted(sql_literal(value, field_type) for value in literals))
        return f"coalesce({column} IN ({values}), false)"

    def visit_not_in(self, term: BoundTerm, literals: set[Any]) -> str:
        return f"NOT {self.visit_in(term, literals)}"

    def visit_is_nan(self, term: BoundTerm) -> str:
        return f"coalesce(isnan({self._of(term)[0]}), false)"

    def visit_not_nan(self, term: BoundTerm) -> str:
        return f"NOT {self.visit_is_nan(term)}"

    def visit_is_null(self, term: BoundTerm) -> str:
        # Not plain: the engine would skip row groups by the null counts of footers.
        return f"coalesce({self._of(term)[0]} IS NULL, false)"

    def visit_not_null(self, term: BoundTerm) -> str:
        return f"NOT {self.visit_is_null(term)}"

    def visit_equal(self, term: BoundTerm, literal: Literal[Any]) -> str:
        return self._compare(term, "=", literal)

    def visit_not_equal(self, term: BoundTerm, literal: Literal[Any]) -> str:
        return f"NOT {self._compare(term, '=', literal)}"

    def visit_greater_than_or_equal(self, term: BoundTerm, literal: Literal[Any]) -> str:
        return self._compare(term, ">=", literal)

    def visit_greater_than(self, term: BoundTerm, literal: Literal[Any]) -> str:
        return self._compare(term, ">", literal)

    def visit_less_than(self, term: BoundTerm, literal: Literal[Any]) -> str:
        return self._compare(term, "<", literal)

    def visit_less_than_or_equal(self, term: BoundTerm, literal: Literal[Any]) -> str:
        return self._compare(term, "<=", literal)

    def visit_starts_with(self, term: BoundTerm, literal: Literal[Any]) -> str:
        column, field_type = self._of(term)
        return f"coalesce(starts_with({column}, {sql_literal(literal.value, field_type)}), false)"

    def visit_not_starts_with(self, term: BoundTerm, literal: Literal[Any]) -> str:
        return f"NOT {self.visit_starts_with(term, literal)}"

    def visit_true(self) -> str:
        return "true"

    def visit_false(self) -> str:
        return "false"

    def visit_not(self, child_result: str) -> str:
        return f"NOT ({child_result})"

    def visit_and(self, left_result: str, right_result: str) -> str:
        return f"({left_result} AND {right_result})"

    def visit_or(self, left_result: str, right_result: str) -> str:
        return f"({left_result} OR {right_result})"


def sql_where(expression: BooleanExpression, schema: Schema, column: Callable[[int], str]) -> str:
    """Return an expression as an SQL condition that is never NULL."""
    return visit(bind_where(expression, schema), SqlFilter(column))
