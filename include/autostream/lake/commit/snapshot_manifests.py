"""The manifests of a new snapshot, and the list of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from functools import partial

from pyiceberg.manifest import DataFile, ManifestFile

from autostream.iceberg.manifests import (
    ManifestContent,
    ManifestReader,
    ManifestWriter,
    Status,
    with_counts,
    write_list,
)
from autostream.iceberg.state import TableState
from autostream.lake.commit.attempts import Attempt
from autostream.lake.commit.replacements import Replacement

# Entries a manifest: about 8 MB, Iceberg's commit.manifest.target-size-bytes, at the usual 400 bytes an entry.
_MANIFEST_ENTRIES = 20_000


class SnapshotManifests:
    """Writes the manifests and the manifest list of an attempt's snapshot; each is noted before it is written."""

    def __init__(self, attempt: Attempt) -> None:
        """Write for an attempt."""
        self._attempt = attempt
        self._io = attempt.table.io
        self._metadata = attempt.base
        self._id = uuid.uuid4()

    def added(self, replacements: Sequence[Replacement]) -> list[ManifestFile]:
        """Write the outputs, with their data sequence numbers (rule 1; v1 tables have none)."""
        by_spec: dict[int, list[tuple[DataFile, int | None]]] = {}
        for item in replacements:
            number = item.group.sequence_number if self._metadata.format_version > 1 else None
            by_spec.setdefault(item.group.partition_key[0], []).extend((file, number) for file in item.outputs)
        return [
            manifest
            for spec_id, files in by_spec.items()
            for manifest in self._write(
                spec_id,
                ManifestContent.DATA,
                [partial(ManifestWriter.add, file=f, sequence_number=n) for f, n in files],
            )
        ]

    def carried_over(self, base: TableState, reader: ManifestReader, gone: set[str]) -> list[ManifestFile]:
        """Return the base's manifests without the files that go.

        A manifest that lists none of them is kept as it is; one without live files is dropped, as Java drops it. Of
        the others, what stays and what goes is gathered by spec and content: kept apart, so that the next commit need
        not rewrite what stays.
        """
        manifests: list[ManifestFile] = []
        kept: dict[tuple[int, ManifestContent], list[Callable[[ManifestWriter], None]]] = {}
        dropped: dict[tuple[int, ManifestContent], list[Callable[[ManifestWriter], None]]] = {}
        for manifest in base.manifests:
            live = reader.live(manifest)
            if not any(file.path in gone for file in live):
                manifests += [with_counts(manifest, reader.entries(manifest))] if live else []
                continue
            key = (manifest.partition_spec_id, manifest.content)
            for entry in reader.entries(manifest):
                if entry.status == Status.DELETED:
                    continue
                if entry.data_file.file_path in gone:
                    dropped.setdefault(key, []).append(partial(ManifestWriter.delete, entry=entry))
                else:
                    kept.setdefault(key, []).append(partial(ManifestWriter.keep, entry=entry))
        for entries in (kept, dropped):
            for (spec_id, content), writes in entries.items():
                manifests += self._write(spec_id, content, writes)
        return manifests

    def _write(
        self, spec_id: int, content: ManifestContent, writes: Sequence[Callable[[ManifestWriter], None]]
    ) -> list[ManifestFile]:
        manifests = []
        for start in range(0, len(writes), _MANIFEST_ENTRIES):
            writer = ManifestWriter(
                self._io,
                self._new_file(f"{self._id}-m{len(self._attempt.files)}.avro"),
                metadata=self._metadata,
                spec_id=spec_id,
                content=content,
                snapshot_id=self._attempt.snapshot_id,
            )
            for write in writes[start : start + _MANIFEST_ENTRIES]:
                write(writer)
            manifests.append(writer.close())
        return manifests

    def write_list(self, manifests: Sequence[ManifestFile], *, parent: int | None, sequence_number: int) -> str:
        """Write the manifest list, and return where it is."""
        path = self._new_file(f"snap-{self._attempt.snapshot_id}-{self._attempt.number}-{self._id}.avro")
        write_list(
            self._io,
            path,
            manifests,
            metadata=self._metadata,
            snapshot_id=self._attempt.snapshot_id,
            parent_snapshot_id=parent,
            sequence_number=sequence_number,
        )
        return path

    def _new_file(self, name: str) -> str:
        path = self._attempt.table.location_provider().new_metadata_location(name)
        self._attempt.files.append(path)
        return path
