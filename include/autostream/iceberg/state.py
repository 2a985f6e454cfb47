"""The live files of one snapshot with the index of its deletes: what every decision about a table starts from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import quote_plus

from pyiceberg.manifest import ManifestFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.transforms import VoidTransform

from autostream.errors import InconsistentTableError, UnsupportedTableError, UsageError
from autostream.iceberg.calendar import partition_text
from autostream.iceberg.deletes import DeleteIndex
from autostream.iceberg.files import Content, LiveFile, PartitionKey, normalize_path
from autostream.iceberg.manifest_lists import listed_manifests
from autostream.iceberg.manifests import ManifestReader, field_type, is_deletion_vector, partition_type
from autostream.iceberg.metadata_files import explain_unreadable
from autostream.iceberg.tables import full_name
from autostream.spelling import counted

# Writers of one table name the same object differently.
_S3 = re.compile(r"^s3[an]://")


def is_unpartitioned(spec: PartitionSpec) -> bool:
    """Say whether a spec partitions by nothing: no field, or only void ones as v1 tables keep for dropped fields."""
    return all(isinstance(field.transform, VoidTransform) for field in spec.fields)


@dataclass(frozen=True)
class Contradiction:
    """What a snapshot says of one file that cannot be, so that nobody can tell what the table holds.

    Attributes:
        path: the file.
        reason: what is wrong, as the end of a sentence that begins with the path.
        entries: the live entries that say it.
    """

    path: str
    reason: str
    entries: tuple[LiveFile, ...]


@dataclass(frozen=True)
class TableState:
    """A table as of one snapshot (None for a table without one).

    Attributes:
        metadata: the table metadata that the state was read with.
        snapshot: the snapshot.
        manifests: the snapshot's manifests.
        data: live data files, by path.
        deletes: live delete files, by path.
        contradictions: what can only be shown: neither read nor changed. Of a path that is live twice, `data` and
            `deletes` have one entry.
    """

    metadata: TableMetadata
    snapshot: Snapshot | None
    manifests: Sequence[ManifestFile]
    data: dict[str, LiveFile]
    deletes: dict[str, LiveFile]
    contradictions: tuple[Contradiction, ...] = ()

    @property
    def snapshot_id(self) -> int | None:
        """The snapshot's id."""
        return self.snapshot.snapshot_id if self.snapshot else None

    @property
    def sequence_number(self) -> int:
        """The snapshot's sequence number; 0 in v1 tables and tables without a snapshot."""
        return (self.snapshot.sequence_number or 0) if self.snapshot else 0

    @cached_property
    def index(self) -> DeleteIndex:
        """Which deletes apply to which data file."""
        return DeleteIndex(
            self.deletes.values(),
            unpartitioned_specs=frozenset(i for i, spec in self.metadata.specs().items() if is_unpartitioned(spec)),
            types=lambda field_id: field_type(self.metadata, field_id),
        )

    def partition_name(self, key: PartitionKey) -> str:
        """Return a partition for people and for `--partition`: `spec=1/day=2026-11-23/id_bucket=3`."""
        return f"spec={key[0]}" + "".join(f"/{part}" for part in self.partition_path(key))

    def partition_path(self, key: PartitionKey) -> list[str]:
        """Return the `name=value` parts of a partition's path, escaped as Iceberg's own writers do."""
        spec = self.metadata.specs()[key[0]]
        record = next(f.entry.partition for f in self._by_partition[key] if f.entry is not None)
        types = partition_type(self.metadata, spec).fields
        values = [
            partition_text(part.transform, typed.field_type, record[position])
            for position, (part, typed) in enumerate(zip(spec.fields, types, strict=True))
        ]
        return [
            f"{quote_plus(part.name, safe='')}={quote_plus(value, safe='')}"
            for part, value in zip(spec.fields, values, strict=True)
        ]

    @cached_property
    def _by_partition(self) -> dict[PartitionKey, list[LiveFile]]:
        found: dict[PartitionKey, list[LiveFile]] = {}
        for file in (*self.data.values(), *self.deletes.values()):
            found.setdefault(file.partition, []).append(file)
        return found


def read_state(
    table: Table,
    *,
    snapshot_id: int | None = None,
    reader: ManifestReader | None = None,
    name: str = "",
    only_to_show: bool = False,
) -> TableState:
    """Read the live files of a table's current snapshot, or of the one named.

    Args:
        table: the table.
        snapshot_id: the snapshot; the current one by default.
        reader: reads manifests once.
        name: the table's name for messages.
        only_to_show: return contradictions instead of refusing them.

    Raises:
        InconsistentTableError: the snapshot contradicts itself.
        UnsupportedTableError: the table is of a format version above 2, or holds deletion vectors.
        UsageError: the table has no such snapshot.
        DataError: a manifest or the manifest list is missing or damaged.
    """
    metadata = table.metadata
    label = name or full_name(table)
    if metadata.format_version > 2:
        raise UnsupportedTableError(
            f"Table {label} has format version {metadata.format_version}. Only versions 1 and 2 are supported. "
            "Nothing was changed. Deletion vectors and row lineage of version 3 would be lost. Compact this table "
            "with an engine that writes them."
        )
    snapshot = metadata.current_snapshot() if snapshot_id is None else metadata.snapshot_by_id(snapshot_id)
    if snapshot_id is not None and snapshot is None:
        known = ", ".join(str(s.snapshot_id) for s in metadata.snapshots[-5:]) or "none"
        raise UsageError(f"Table {label} has no snapshot {snapshot_id}. The newest snapshots: {known}.")
    if snapshot is None:
        return TableState(metadata, None, (), {}, {})
    try:
        manifests = listed_manifests(table.io, snapshot)
    except Exception as error:  # Avro decoding fails in as many ways as bytes can be wrong
        what = f"The manifest list {snapshot.manifest_list} of snapshot {snapshot.snapshot_id} of table {label}"
        raise explain_unreadable(table.io, snapshot.manifest_list, what, error) from error
    reader = reader or ManifestReader(table.io)
    files = reader.live_files(manifests)
    for file in files:
        if file.content != Content.DATA and file.entry is not None and is_deletion_vector(file.entry):
            raise UnsupportedTableError(
                f"Table {label} has the deletion vector {file.path}, a feature of format version 3. Nothing was "
                "changed. Compact the table with an engine that supports deletion vectors."
            )
    files = _with_shared_claims(files)
    state = TableState(
        metadata=metadata,
        snapshot=snapshot,
        manifests=manifests,
        data={f.path: f for f in files if f.content == Content.DATA},
        deletes={f.path: f for f in files if f.content != Content.DATA},
        contradictions=(*_hidden(manifests, reader), *find_contradictions(files)),
    )
    if state.contradictions and not only_to_show:
        raise InconsistentTableError(refusal(label, state.contradictions))
    return state


def _hidden(manifests: Iterable[ManifestFile], reader: ManifestReader) -> Iterable[Contradiction]:
    """Yield manifests with files of which their list says that they have none: some engines do not look into them."""
    for manifest in manifests:
        if not manifest.has_added_files() and not manifest.has_existing_files() and (live := reader.live(manifest)):
            yield Contradiction(
                manifest.manifest_path,
                f"has {counted(len(live), 'live file')}, but its manifest list says that it has none",
                tuple(live),
            )


def _with_shared_claims(files: Sequence[LiveFile]) -> list[LiveFile]:
    def claim(file: LiveFile) -> tuple[int | None, int, int, int]:
        return file.snapshot_id, file.content, file.record_count, file.size_bytes

    claims = Counter(map(claim, files))
    return [replace(file, claims_shared=True) if claims[claim(file)] > 1 else file for file in files]


def find_contradictions(files: Iterable[LiveFile]) -> Iterable[Contradiction]:
    """Yield what the live files of one snapshot say that cannot be (R10, R15), whatever form a path is written in."""
    seen: dict[str, LiveFile] = {}
    twins: dict[str, list[LiveFile]] = {}
    for file in files:
        if (key := _S3.sub("s3://", file.key)) in seen:
            twins.setdefault(key, [seen[key]]).append(file)
        seen[key] = file
        if file.content == Content.EQUALITY_DELETES and not file.equality_ids:
            yield Contradiction(
                file.path,
                ("is an equality-delete file without equality ids, so it is not clear what it deletes"),
                (file,),
            )
    yield from _deletes_elsewhere(seen.values())
    for found in twins.values():
        entries = sorted(found, key=lambda e: (e.sequence_number, e.snapshot_id or 0))
        added = ", ".join(
            f"snapshot {e.snapshot_id} as {e.content.label} file (sequence number {e.sequence_number})" for e in entries
        )
        yield Contradiction(entries[0].path, f"is live {len(entries)} times: it was added by {added}", tuple(entries))


def _deletes_elsewhere(files: Collection[LiveFile]) -> Iterable[Contradiction]:
    """Yield position deletes that name a data file of another partition: newer Java applies them, the spec does not."""
    data = {file.key: file for file in files if file.content == Content.DATA}
    for file in files:
        if file.content != Content.POSITION_DELETES or file.referenced_path is None:
            continue
        named = data.get(normalize_path(file.referenced_path))
        if named and named.partition != file.partition and named.sequence_number <= file.sequence_number:
            yield Contradiction(file.path, f"deletes rows of {named.path}, but is in another partition", (file, named))


def refusal(table: str, contradictions: Sequence[Contradiction]) -> str:
    """Return why a table is neither read nor compacted, and what to do."""
    first, more = contradictions[0], len(contradictions) - 1
    others = f" There are {more} more such files: see `autostream table inspect {table}`." if more else ""
    newest = max(first.entries, key=lambda e: e.sequence_number).snapshot_id
    return (
        f"Table {table} contradicts itself: {first.path} {first.reason}.{others} Engines read different rows from "
        "such a table, so autostream did not read or change it. Roll the table back to the snapshot before "
        f"{newest}, or repair it with the statements in docs/compaction.md, 'A table that contradicts itself'."
    )
