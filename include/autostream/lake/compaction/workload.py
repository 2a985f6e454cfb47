"""How much work each table needs, cut into the items that workers do.

Everything here is pure: sizes come from plans that someone else made, and nothing is read or written.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autostream.sizes import MIB
from autostream.spelling import counted

LABEL_CHARACTERS = 200
"""The most characters of a label; Airflow keeps 250 of a map index."""

PART_OVERHEAD_BYTES = 16 * MIB
"""What opening a table and committing to it costs, as the bytes that could be rewritten in that time.

A batch of very small tables would otherwise be filled by their number without end.
"""


@dataclass(frozen=True, order=True)
class PartitionWork:
    """One partition of a table that needs compaction.

    Attributes:
        key: Readable key of the partition, such as `spec=0/day=2026-11-23`; `spec=0` when unpartitioned.
        input_bytes: Size of the files to rewrite.
        input_files: Number of the files to rewrite.
    """

    key: str
    input_bytes: int
    input_files: int


@dataclass(frozen=True)
class TableWorkload:
    """All that one table needs; a table without partitions here needs nothing.

    A partition named more than once counts once, with the sum of what was said about it.
    """

    table: str
    partitions: tuple[PartitionWork, ...]

    @property
    def input_bytes(self) -> int:
        """Size of the files to rewrite."""
        return sum(partition.input_bytes for partition in self.partitions)

    @property
    def input_files(self) -> int:
        """Number of the files to rewrite."""
        return sum(partition.input_files for partition in self.partitions)


@dataclass(frozen=True)
class WorkPart:
    """A table, or some of its partitions: what is compacted by one call.

    Attributes:
        partitions: Keys of the partitions to compact, sorted; None stands for the whole table.
    """

    table: str
    partitions: tuple[str, ...] | None
    input_bytes: int
    input_files: int

    @property
    def label(self) -> str:
        """Readable name, such as `lake.db.orders day=2026-11-23 (+3 more)`."""
        if self.partitions is None:
            return self.table
        text = f"{self.table} {_readable(self.partitions[0])}"
        return text if len(self.partitions) == 1 else f"{text} (+{len(self.partitions) - 1} more)"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as JSON types."""
        return {
            "table": self.table,
            "partitions": None if self.partitions is None else list(self.partitions),
            "input_bytes": self.input_bytes,
            "input_files": self.input_files,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> WorkPart:
        """Return the part that `to_dict` described."""
        partitions = document["partitions"]
        return cls(
            table=document["table"],
            partitions=None if partitions is None else tuple(partitions),
            input_bytes=document["input_bytes"],
            input_files=document["input_files"],
        )


@dataclass(frozen=True)
class WorkItem:
    """What one worker does: one part after the other, each committing by itself."""

    parts: tuple[WorkPart, ...]

    @property
    def input_bytes(self) -> int:
        """Size of the files to rewrite."""
        return sum(part.input_bytes for part in self.parts)

    @property
    def label(self) -> str:
        """Readable name: the largest part's, and how many more tables come with it."""
        largest = max(self.parts, key=lambda part: (part.input_bytes, part.table))
        others = len({part.table for part in self.parts} - {largest.table})
        suffix = f" (+{counted(others, 'more table')})" if others else ""
        room = LABEL_CHARACTERS - len(suffix)
        label = largest.label
        return (label if len(label) <= room else label[: room - 1] + "…") + suffix

    def to_dict(self) -> dict[str, Any]:
        """Return the item as JSON types, with a label to show."""
        return {
            "label": self.label,
            "input_bytes": self.input_bytes,
            "parts": [part.to_dict() for part in self.parts],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> WorkItem:
        """Return the item that `to_dict` described."""
        return cls(parts=tuple(WorkPart.from_dict(part) for part in document["parts"]))


def split_work(
    workloads: Iterable[TableWorkload], *, batch_size_bytes: int, split_size_bytes: int, max_items: int
) -> tuple[WorkItem, ...]:
    """Cuts the work of many tables into items: small tables batched, large ones split by partition.

    Nothing is lost and nothing done twice; the same workloads give the same items, whatever their order. Largest items
    come first, so that the long ones start first.

    Args:
        workloads: What each table needs.
        batch_size_bytes: Small tables share an item up to this size, each counting at least `PART_OVERHEAD_BYTES`.
        split_size_bytes: A table larger than this is cut into items of about this size; a single partition never is.
        max_items: The most items to return; the smallest are merged until there are no more than that.

    Raises:
        ValueError: A limit is not positive.
    """
    for name, limit in (
        ("batch_size_bytes", batch_size_bytes),
        ("split_size_bytes", split_size_bytes),
        ("max_items", max_items),
    ):
        if limit < 1:
            raise ValueError(f"{name} is {limit}, but must be at least 1.")
    whole: list[WorkPart] = []
    items: list[WorkItem] = []
    for workload in _merged(workloads):
        if workload.input_bytes <= split_size_bytes or len(workload.partitions) == 1:
            whole.append(WorkPart(workload.table, None, workload.input_bytes, workload.input_files))
        else:
            items += (WorkItem((part,)) for part in _split(workload, split_size_bytes=split_size_bytes))
    items += _batches(whole, batch_size_bytes=batch_size_bytes)
    return tuple(sorted(_at_most(items, max_items), key=_largest_first))


def _merged(workloads: Iterable[TableWorkload]) -> Iterator[TableWorkload]:
    """Each table once, by name, each of its partitions once, by key; tables without work left out."""
    tables: dict[str, dict[str, PartitionWork]] = {}
    for workload in workloads:
        for work in workload.partitions:
            partitions = tables.setdefault(workload.table, {})
            known = partitions.get(work.key, PartitionWork(work.key, 0, 0))
            partitions[work.key] = PartitionWork(
                work.key, known.input_bytes + work.input_bytes, known.input_files + work.input_files
            )
    for table, partitions in sorted(tables.items()):
        yield TableWorkload(table, tuple(partitions[key] for key in sorted(partitions)))


def _split(workload: TableWorkload, *, split_size_bytes: int) -> Iterator[WorkPart]:
    """Return runs of neighbouring partitions, each as long as the size allows."""
    run: list[PartitionWork] = []
    size = 0
    for partition in workload.partitions:
        if run and size + partition.input_bytes > split_size_bytes:
            yield _part_of(workload.table, run)
            run, size = [], 0
        run.append(partition)
        size += partition.input_bytes
    yield _part_of(workload.table, run)


def _part_of(table: str, partitions: Sequence[PartitionWork]) -> WorkPart:
    return WorkPart(
        table,
        tuple(partition.key for partition in partitions),
        sum(partition.input_bytes for partition in partitions),
        sum(partition.input_files for partition in partitions),
    )


def _batches(parts: Iterable[WorkPart], *, batch_size_bytes: int) -> Iterator[WorkItem]:
    """First-fit decreasing: no two of the batches would fit into one."""
    batches: list[list[WorkPart]] = []
    sizes: list[int] = []
    for part in sorted(parts, key=lambda part: (-part.input_bytes, part.table)):
        size = max(part.input_bytes, PART_OVERHEAD_BYTES)
        for index, used in enumerate(sizes):
            if used + size <= batch_size_bytes:
                batches[index].append(part)
                sizes[index] += size
                break
        else:
            batches.append([part])
            sizes.append(size)
    return (WorkItem(tuple(batch)) for batch in batches)


def _at_most(items: Iterable[WorkItem], max_items: int) -> Iterable[WorkItem]:
    """Return the items, the two smallest merged into one until there are no more than `max_items`."""
    heap = [(item.input_bytes, _order(item), item) for item in items]
    heapq.heapify(heap)
    while len(heap) > max_items:
        merged = _merge(heapq.heappop(heap)[2], heapq.heappop(heap)[2])
        heapq.heappush(heap, (merged.input_bytes, _order(merged), merged))
    return [item for _, _, item in heap]


def _merge(first: WorkItem, second: WorkItem) -> WorkItem:
    """One item with the parts of both; runs of partitions of the same table become one part."""
    parts: dict[str, WorkPart] = {}
    for part in sorted((*first.parts, *second.parts), key=lambda part: (part.table, part.partitions or ())):
        known = parts.get(part.table)
        if known is None:
            parts[part.table] = part
            continue
        # Only a table that was split has more than one part, and then each names its partitions.
        keys = tuple(sorted({*(known.partitions or ()), *(part.partitions or ())}))
        parts[part.table] = WorkPart(
            part.table, keys, known.input_bytes + part.input_bytes, known.input_files + part.input_files
        )
    return WorkItem(tuple(parts.values()))


def _order(item: WorkItem) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((part.table, part.partitions or ()) for part in item.parts)


def _largest_first(item: WorkItem) -> tuple[int, tuple[tuple[str, tuple[str, ...]], ...]]:
    return -item.input_bytes, _order(item)


def _readable(key: str) -> str:
    """Return a partition's key without the number of its spec, which tells a reader nothing."""
    spec, separator, rest = key.partition("/")
    return rest if separator and spec.startswith("spec=") else key
