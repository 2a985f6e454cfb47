"""Live files made up for tests of what decides on metadata alone."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyiceberg.conversions import to_bytes
from pyiceberg.types import IcebergType, IntegerType, PrimitiveType

from autostream.iceberg.deletes import DeleteIndex
from autostream.iceberg.files import FILE_PATH_FIELD_ID, Content, LiveFile, partition_key

KEY = 1


def data(path: str = "d", sequence: int = 5, *, spec: int = 0, values: tuple[Any, ...] = (), **more: Any) -> LiveFile:
    return _file(Content.DATA, path, sequence, spec, values, more)


def equality(
    path: str = "e", sequence: int = 6, *, ids: tuple[int, ...] = (KEY,), spec: int = 0, values: Any = (), **more: Any
) -> LiveFile:
    return _file(Content.EQUALITY_DELETES, path, sequence, spec, values, {"equality_ids": ids, **more})


def position(
    path: str = "p", sequence: int = 5, *, spec: int = 0, values: tuple[Any, ...] = (), **more: Any
) -> LiveFile:
    return _file(Content.POSITION_DELETES, path, sequence, spec, values, more)


def _file(
    content: Content, path: str, sequence: int, spec: int, values: tuple[Any, ...], more: dict[str, Any]
) -> LiveFile:
    fields = {"file_format": "parquet", "record_count": 10, "size_bytes": 100} | more
    return LiveFile(
        content=content, path=path, partition=partition_key(spec, values), sequence_number=sequence, **fields
    )


def path_bounds(lower: str | bytes, upper: str | bytes) -> dict[str, Mapping[int, bytes]]:
    """Return bounds of the column ``file_path`` of a position-delete file."""
    low, high = (bound.encode() if isinstance(bound, str) else bound for bound in (lower, upper))
    return {"lower_bounds": {FILE_PATH_FIELD_ID: low}, "upper_bounds": {FILE_PATH_FIELD_ID: high}}


def column(
    field_type: PrimitiveType, values: Iterable[Any], *, field_id: int = KEY, nulls_known: bool = True
) -> dict[str, Mapping[int, Any]]:
    """Return the exact metrics of one column that holds these values, None for NULL."""
    listed = list(values)
    present = sorted(v for v in listed if v is not None)
    found: dict[str, Mapping[int, Any]] = {"value_counts": {field_id: len(listed)}, "record_count": len(listed)}
    if nulls_known:
        found["null_counts"] = {field_id: len(listed) - len(present)}
    if present:
        found["lower_bounds"] = {field_id: to_bytes(field_type, present[0])}
        found["upper_bounds"] = {field_id: to_bytes(field_type, present[-1])}
    return found


def index(
    *deletes: LiveFile,
    unpartitioned: Iterable[int] = (),
    types: Callable[[int], IcebergType | None] = lambda _: IntegerType(),
) -> DeleteIndex:
    return DeleteIndex(deletes, unpartitioned_specs=frozenset(unpartitioned), types=types)
