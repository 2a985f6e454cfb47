"""What a file's counts and bounds in a manifest prove, for every writer. Pure.

A file is left out of a scan, or a delete file of a merge, only by what every writer means alike. Not relied on are:

- UUID, binary and fixed: Iceberg Java 1.10 to 1.12 orders UUIDs as two signed longs, and its bounds over several row
  groups can be in order and too narrow; other writers and old footers order bytes as signed.
- strings beyond ASCII: Java has ordered them by UTF-16, by UTF-8 and with replacement characters, others by bytes,
  signed ones too. So an upper bound is relied on beside a lower one only.
- floating point: NaN and the two zeros have no place in one order. (An equality column may not be of it, R11.)
- counts that contradict each other or the file's row count (-1, 0, sums), and bounds of columns with such counts.
- bounds that are not in order, or of another length than their type's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    IcebergType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from autostream.iceberg.files import LiveFile

Bound = int | str
"""The value of a bound: as ordered as the column's values."""

# How many bytes a bound has; four of a long where the column was an int before (R13).
_LENGTHS: Mapping[type[IcebergType], frozenset[int]] = {
    IntegerType: frozenset({4, 8}),
    LongType: frozenset({4, 8}),
    DateType: frozenset({4}),
    TimeType: frozenset({8}),
    TimestampType: frozenset({8}),
    TimestamptzType: frozenset({8}),
}

# Some writers cut a long upper bound without raising what is left: a bound covers all strings that begin with it.
_ABOVE = "\U0010ffff"


def bound_value(raw: bytes | None, field_type: IcebergType | None, *, upper: bool = False) -> Bound | None:
    """Return the value of a bound that all writers order alike; None where there is none, or none to rely on."""
    if raw is None:
        return None
    match field_type:
        case StringType():
            return raw.decode("ascii") + (_ABOVE if upper else "") if raw.isascii() else None
        case DecimalType():
            return int.from_bytes(raw, "big", signed=True) if raw else None
        case BooleanType():
            return raw[0] if raw in (b"\x00", b"\x01") else None
        case IcebergType() if len(raw) in _LENGTHS.get(type(field_type), ()):
            return int.from_bytes(raw, "little", signed=True)
    return None


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What metadata proves of one column of one file; bounds are None where it proves nothing of them."""

    lower: Bound | None
    upper: Bound | None
    may_be_null: bool
    all_null: bool

    def overlaps(self, other: ColumnFacts) -> bool:
        """Say whether the two columns may have a value in common, NULL included."""
        if self.may_be_null and other.may_be_null:
            return True
        if self.all_null or other.all_null:
            return False
        return not (_below(self.upper, other.lower) or _below(other.upper, self.lower))


def _below(upper: Bound | None, lower: Bound | None) -> bool:
    return upper is not None and lower is not None and upper < lower  # type: ignore[operator]  # of one type


def column_facts(file: LiveFile, field_id: int, field_type: IcebergType | None) -> ColumnFacts | None:
    """Return what metadata proves of a column that is in no list or map; None where that is nothing.

    Without counts the column may be absent from the file, hence null in every row.
    """
    values, nulls = file.value_counts.get(field_id), file.null_counts.get(field_id)
    if values is None or values <= 0 or values != file.record_count:
        return None
    if nulls is not None and not 0 <= nulls <= values:
        return None
    raw = file.lower_bounds.get(field_id), file.upper_bounds.get(field_id)
    if nulls == values and raw != (None, None):
        return None
    lower, upper = bound_value(raw[0], field_type), bound_value(raw[1], field_type, upper=True)
    if _below(upper, lower):
        lower = upper = None
    elif isinstance(field_type, StringType) and lower is None:  # of signed bytes, what is beyond ASCII comes first
        upper = None
    return ColumnFacts(lower, upper, nulls is None or nulls > 0, nulls == values)


@dataclass(frozen=True)
class ProvenMetrics:
    """The metrics of a data file, as PyIceberg's evaluator looks at them, without those that prove nothing."""

    record_count: int
    value_counts: dict[int, int] = field(default_factory=dict)
    null_value_counts: dict[int, int] = field(default_factory=dict)
    nan_value_counts: dict[int, int] = field(default_factory=dict)
    lower_bounds: dict[int, bytes] = field(default_factory=dict)
    upper_bounds: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, file: LiveFile, types: Mapping[int, IcebergType]) -> ProvenMetrics:
        """Return what metadata proves of the columns of `types`."""
        # A count of 0 rules every row out: some writers do not count.
        proven = cls(file.record_count if file.record_count > 0 else -1)
        nans = (file.entry.nan_value_counts if file.entry is not None else None) or {}
        for field_id, field_type in types.items():
            facts = column_facts(file, field_id, field_type)
            nulls = file.null_counts.get(field_id)
            if facts is None or nulls is None:
                continue
            proven.value_counts[field_id] = file.record_count
            proven.null_value_counts[field_id] = nulls
            if 0 <= (nan := nans.get(field_id, -1)) <= file.record_count - nulls:
                proven.nan_value_counts[field_id] = nan
            if facts.lower is not None:
                proven.lower_bounds[field_id] = file.lower_bounds[field_id]
            if facts.upper is not None:
                raw = file.upper_bounds[field_id]
                proven.upper_bounds[field_id] = raw + _ABOVE.encode() if isinstance(field_type, StringType) else raw
        return proven
