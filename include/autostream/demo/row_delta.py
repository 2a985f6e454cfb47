"""A snapshot that adds and removes files of any content and partition spec: what Iceberg calls a row delta."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.table import Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, Snapshot, SnapshotSummaryCollector, Summary, update_snapshot_summaries
from pyiceberg.table.update.snapshot import _SnapshotProducer

from autostream.iceberg.manifests import ManifestWriter, Status, read_entries

_NO_PROPERTIES: dict[str, str] = {}


class RowDelta(_SnapshotProducer["RowDelta"]):
    """Adds and removes files in one snapshot; like Flink's committer, it validates nothing but a file's removal."""

    def __init__(
        self,
        transaction: Transaction,
        added: Sequence[DataFile],
        removed: Sequence[DataFile],
        *,
        operation: Operation,
        summary: dict[str, str],
    ) -> None:
        """Prepare the snapshot; `commit` adds it to the transaction."""
        super().__init__(operation, transaction, transaction._table.io, snapshot_properties=summary)
        self._added = added
        self._removed = {file.file_path: file for file in removed}

    def committed(self, metadata: TableMetadata) -> Snapshot:
        """Return the snapshot from the metadata that holds it."""
        snapshot = metadata.snapshot_by_id(self._snapshot_id)
        assert snapshot is not None  # the id stays the same through all retries
        return snapshot

    def _deleted_entries(self) -> list[ManifestEntry]:
        return []

    def _existing_manifests(self) -> list[ManifestFile]:
        return []

    def _validate_concurrency(self) -> None:
        return None

    def _manifests(self) -> list[ManifestFile]:
        groups: dict[tuple[ManifestContent, int], list[DataFile]] = {}
        for file in self._added:
            content = ManifestContent.DATA if file.content == DataFileContent.DATA else ManifestContent.DELETES
            groups.setdefault((content, file.spec_id), []).append(file)
        manifests = []
        for (content, spec_id), files in groups.items():
            writer = self._open(content, spec_id)
            for file in files:
                writer.add(file)
            manifests.append(writer.close())
        parent = self._parent()
        for manifest in parent.manifests(self._io) if parent else ():
            if manifest.has_added_files() or manifest.has_existing_files():
                manifests.append(self._without_removed(manifest) if self._removed else manifest)
        return manifests

    def _without_removed(self, manifest: ManifestFile) -> ManifestFile:
        live = [entry for entry in read_entries(self._io, manifest) if entry.status != Status.DELETED]
        if not any(entry.data_file.file_path in self._removed for entry in live):
            return manifest
        writer = self._open(manifest.content, manifest.partition_spec_id)
        for entry in live:
            (writer.delete if entry.data_file.file_path in self._removed else writer.keep)(entry)
        return writer.close()

    def _open(self, content: ManifestContent, spec_id: int) -> ManifestWriter:
        return ManifestWriter(
            self._io,
            self.new_manifest_output().location,
            metadata=self._transaction.table_metadata,
            spec_id=spec_id,
            content=content,
            snapshot_id=self._snapshot_id,
        )

    def _parent(self) -> Snapshot | None:
        metadata = self._transaction.table_metadata
        return None if self._parent_snapshot_id is None else metadata.snapshot_by_id(self._parent_snapshot_id)

    def _summary(self, snapshot_properties: Mapping[str, str] = _NO_PROPERTIES) -> Summary:
        collector = SnapshotSummaryCollector()
        for file in self._added:
            collector.metrics.add_file(file)
        for file in self._removed.values():
            collector.metrics.remove_file(file)
        partitions = {
            (f.spec_id, repr(f.partition)) for f in (*self._added, *self._removed.values()) if len(f.partition)
        }
        summary = Summary(self._operation, **collector.build(), **snapshot_properties)
        if partitions:
            summary["changed-partition-count"] = str(len(partitions))
        parent = self._parent()
        previous = parent.summary if parent else None
        if self._operation is not Operation.REPLACE:
            return update_snapshot_summaries(summary, previous)
        # PyIceberg counts the totals of a replace no differently, but refuses to.
        counted = update_snapshot_summaries(Summary(Operation.OVERWRITE, **summary.additional_properties), previous)
        return Summary(Operation.REPLACE, **counted.additional_properties)
