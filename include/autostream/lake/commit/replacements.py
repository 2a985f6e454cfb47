"""What a commit replaces: groups of live files, and the files that take their place. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyiceberg.manifest import DataFile

from autostream.iceberg.files import Content, LiveFile, PartitionKey, partition_key
from autostream.iceberg.manifests import partition_values


@dataclass(frozen=True, kw_only=True)
class FileGroup:
    """Live data files of one spec and partition that are replaced together (rule 2).

    Attributes:
        number: Which of the groups of a commit it is.
        partition: The partition by name, for messages.
        partition_key: Its key.
        files: The data files that are replaced.
        deletes: The delete files that are applied to them.
        sequence_number: Data sequence number of what replaces them (rule 1).
    """

    number: int
    partition: str
    partition_key: PartitionKey
    files: tuple[LiveFile, ...]
    deletes: tuple[LiveFile, ...]
    sequence_number: int

    @property
    def input_bytes(self) -> int:
        """Size of the data files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def input_files(self) -> int:
        """Number of data files."""
        return len(self.files)

    @property
    def input_rows(self) -> int:
        """Rows in the data files by their manifests, deleted ones included."""
        return sum(file.claimed_rows for file in self.files)


@dataclass(frozen=True)
class Replacement:
    """A group with the files that take its place, which are written, not yet committed.

    Attributes:
        group: What is replaced.
        outputs: New data files; none if every row of the group is deleted.
        rows_read: Rows of the replaced data files, by their footers.
        deletable: How many of those the applied deletes remove at least and at most, known without the outputs.
    """

    group: FileGroup
    outputs: tuple[DataFile, ...]
    rows_read: int
    deletable: tuple[int, int]

    @property
    def rows_written(self) -> int:
        """Rows that are left."""
        return sum(file.record_count for file in self.outputs)

    @property
    def rows_deleted(self) -> int:
        """Rows that deletes removed."""
        return self.rows_read - self.rows_written

    @property
    def bytes_read(self) -> int:
        """Size of the data and delete files that were merged."""
        return self.group.input_bytes + sum(delete.size_bytes for delete in self.group.deletes)

    @property
    def bytes_written(self) -> int:
        """Size of the outputs."""
        return sum(file.file_size_in_bytes for file in self.outputs)

    @property
    def defect(self) -> str | None:
        """Why the outputs cannot be what is left of the group; None if their rows add up."""
        least, most = self.deletable
        if least <= self.rows_deleted <= most:
            return None
        group = self.group
        can = str(most) if least == most else f"{least} to {most}"
        return (
            f"group {group.number} ({group.partition}): {self.rows_read} rows were read from {group.input_files} data "
            f"files and {self.rows_written} written to {len(self.outputs)}, so {self.rows_deleted} would be deleted; "
            f"the {len(group.deletes)} delete files that apply can delete {can}"
        )

    def live_outputs(self) -> Iterator[LiveFile]:
        """Yield the outputs as the files that they will be once they are committed."""
        for file in self.outputs:
            yield LiveFile(
                content=Content.DATA,
                path=file.file_path,
                file_format=file.file_format.value.lower(),
                partition=partition_key(file.spec_id, partition_values(file)),
                record_count=file.record_count,
                size_bytes=file.file_size_in_bytes,
                sequence_number=self.group.sequence_number,
                value_counts=file.value_counts,
                null_counts=file.null_value_counts,
                lower_bounds=file.lower_bounds,
                upper_bounds=file.upper_bounds,
                entry=file,
            )
