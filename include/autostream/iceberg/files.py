"""What is known of a live file of a table: the value that scan, plan and commit decide on."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from uuid import UUID

from pyiceberg.manifest import DataFile

_LOCAL_SCHEME = re.compile(r"^file:/+")

FILE_PATH_FIELD_ID = 2147483546
POSITION_FIELD_ID = 2147483545


class Content(IntEnum):
    """What a file holds, as the spec numbers it."""

    DATA = 0
    POSITION_DELETES = 1
    EQUALITY_DELETES = 2

    @property
    def label(self) -> str:
        """How people call it: `position-delete`."""
        return self.name.lower().replace("_deletes", "-delete")


PartitionKey = tuple[int, tuple[Any, ...]]
"""Spec id and canonical partition values: equal if and only if the spec calls two partitions equal (R8)."""


def normalize_path(path: str) -> str:
    """Return one form for the forms in which writers name the same file.

    Flink writes `file:/tmp/x`, PyIceberg `file:///tmp/x` and some writers the bare `/tmp/x`.
    """
    return _LOCAL_SCHEME.sub("/", path)


def path_form(path: str) -> str:
    """Return in which of these forms a path is written: its scheme with the slashes that follow, empty for none."""
    found = _LOCAL_SCHEME.match(path)
    return found.group() if found else ""


def canonical_value(value: Any) -> Any:
    """Return a hashable form of a partition value; floats by bit pattern, with one NaN (R8).

    A manifest may hold UUIDs as plain bytes.
    """
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else struct.pack(">d", value))
    return value.bytes if isinstance(value, UUID) else value


def partition_key(spec_id: int, values: Iterable[Any]) -> PartitionKey:
    """Return the key under which files of one spec and partition meet."""
    return spec_id, tuple(canonical_value(value) for value in values)


@dataclass(frozen=True, slots=True, eq=False)
class LiveFile:
    """A data or delete file that a snapshot holds live.

    `sequence_number` is the data sequence number, which decides what deletes apply; bounds and counts are
    Iceberg's, by field id, and empty where the writer kept none. `referenced_path` names the only data file that a
    position-delete file speaks of, where its metadata says so. `claims_shared`: other files that the same snapshot
    added are said to be of just the same size and row count, which some writers say of each file where it is that of
    all together.
    """

    content: Content
    path: str
    file_format: str
    partition: PartitionKey
    record_count: int
    size_bytes: int
    sequence_number: int
    file_sequence_number: int | None = None
    snapshot_id: int | None = None
    equality_ids: tuple[int, ...] = ()
    referenced_path: str | None = None
    value_counts: Mapping[int, int] = field(default_factory=dict)
    null_counts: Mapping[int, int] = field(default_factory=dict)
    lower_bounds: Mapping[int, bytes] = field(default_factory=dict)
    upper_bounds: Mapping[int, bytes] = field(default_factory=dict)
    entry: DataFile | None = None
    manifest_path: str | None = None
    claims_shared: bool = False

    @property
    def claimed_rows(self) -> int:
        """Rows by the manifest; 0 where its writer did not count and wrote less."""
        return max(0, self.record_count)

    @property
    def spec_id(self) -> int:
        """The id of the partition spec that the file was written under."""
        return self.partition[0]

    @property
    def key(self) -> str:
        """The file's path in the one form that paths are compared in."""
        return normalize_path(self.path)

    def __repr__(self) -> str:
        """Name the file by content, sequence number and path."""
        return f"LiveFile({self.content.name.lower()}, seq={self.sequence_number}, {self.path})"


FileTest = Callable[[LiveFile], bool]
