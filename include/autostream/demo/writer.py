"""A writer of upsert tables that commits as Flink's Iceberg sink does: one row delta per checkpoint.

Within a checkpoint the writer knows the position of each row that it wrote, so a key written twice gets a *position
delete* on the file just written; of older versions of a key it knows nothing, so each write is preceded by an *equality
delete* of its key. Every partition that a checkpoint touches gets one data file, one equality-delete file and one
position-delete file, as far as there is anything to put in.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from autostream.demo.files import FileWriter, column, conform, select, stored_values
from autostream.demo.row_delta import RowDelta


@dataclass(frozen=True)
class Changes:
    """Changes of one checkpoint that are addressed by one set of equality fields: first upserts, then deletes.

    `upserts` holds whole rows; `deletes` at least the equality fields and the source columns of the partition spec,
    for a writer of whole-row deletes whole rows. Rows take effect in their order, and several Changes of one checkpoint
    in theirs. No `equality_fields` means plain appends.
    """

    equality_fields: tuple[str, ...]
    upserts: pa.Table | None = None
    deletes: pa.Table | None = None


@dataclass
class _Delta:
    """What a checkpoint does to one partition through one set of equality fields."""

    inserted: dict[tuple[Any, ...], int] = field(default_factory=dict)  # key -> position in the data file
    rows: list[pa.Table] = field(default_factory=list)
    keys: list[pa.Table] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    row_count: int = 0


class UpsertWriter:
    """Commits checkpoints of upserts and deletes to a table, or any combination of files.

    Not safe for use by several threads; several writers on one table are fine.
    """

    def __init__(
        self,
        table: Table,
        *,
        job_id: str | None = None,
        operator_id: str | None = None,
        first_checkpoint_id: int = 1,
        whole_row_deletes: bool = False,
    ) -> None:
        """Write to `table`.

        Job and operator ids, random where not given, go into snapshot summaries under Flink's names. With
        `whole_row_deletes`, equality-delete files hold whole rows, as those of a Flink job not in upsert mode do.
        """
        self.table = table
        self.files = FileWriter(table, whole_row_deletes=whole_row_deletes)
        self.job_id = job_id or uuid.uuid4().hex
        self.operator_id = operator_id or uuid.uuid4().hex
        self.next_checkpoint_id = first_checkpoint_id

    def checkpoint(self, *changes: Changes) -> Snapshot:
        """Write and commit the changes of one checkpoint; without any, an empty append, as Flink commits now and then.

        Raises:
            UsageError: an equality field is unknown, or deletes do not tell their partition.
        """
        self.table.refresh()
        data: list[DataFile] = []
        deletes: list[DataFile] = []
        for equality_fields in dict.fromkeys(change.equality_fields for change in changes):
            group = [change for change in changes if change.equality_fields == equality_fields]
            for partition, delta in self._deltas(group, equality_fields).items():
                if delta.rows:
                    data += self.files.write_data(pa.concat_tables(delta.rows), partition=partition)
                if delta.keys:
                    keys = pa.concat_tables(delta.keys)
                    deletes += self.files.write_equality_deletes(keys, equality_fields, partition=partition)
                if delta.positions:
                    deletes.append(self.files.write_position_deletes([(data[-1], delta.positions)]))
        summary = {
            "flink.job-id": self.job_id,
            "flink.operator-id": self.operator_id,
            "flink.max-committed-checkpoint-id": str(self.next_checkpoint_id),
        }
        snapshot = self.commit(data, deletes, summary=summary)
        self.next_checkpoint_id += 1
        return snapshot

    def commit(
        self,
        data: Sequence[DataFile] = (),
        deletes: Sequence[DataFile] = (),
        *,
        remove: Sequence[DataFile] = (),
        operation: Operation | None = None,
        summary: Mapping[str, str] | None = None,
    ) -> Snapshot:
        """Commit any combination of files as one snapshot on the newest state of the table.

        The operation is, unless given, `append` for data files alone and `overwrite` otherwise. Nothing is checked
        against concurrent commits, as Flink's committer checks nothing; a lost race is repeated as often as the table's
        `commit.retry` properties say.
        """
        self.table.refresh()
        operation = operation or (Operation.OVERWRITE if deletes or remove else Operation.APPEND)
        with self.table.transaction() as transaction:
            delta = RowDelta(transaction, [*data, *deletes], remove, operation=operation, summary=dict(summary or {}))
            delta.commit()
        return delta.committed(self.table.metadata)

    def _deltas(self, changes: Sequence[Changes], equality_fields: Sequence[str]) -> dict[tuple[Any, ...], _Delta]:
        deltas: dict[tuple[Any, ...], _Delta] = {}
        steps = [(rows, kind) for c in changes for rows, kind in ((c.upserts, "upsert"), (c.deletes, "delete"))]
        for rows, kind in steps:
            for partition, part in self.files.partitioned(rows) if rows is not None else ():
                delta = deltas.setdefault(partition, _Delta())
                if equality_fields:
                    self._add_deletes(delta, part, equality_fields, is_upsert=kind == "upsert")
                if kind == "upsert":
                    whole = conform(part, self.table.schema())
                    delta.rows.append(whole)
                    delta.row_count += whole.num_rows
        return deltas

    def _add_deletes(self, delta: _Delta, part: pa.Table, equality_fields: Sequence[str], *, is_upsert: bool) -> None:
        schema = self.table.schema()
        file_schema = schema if self.files.whole_row_deletes else select(schema, equality_fields)
        not_written_here = []
        values = [stored_values(column(part, name), schema.find_type(name)) for name in equality_fields]
        for index, key in enumerate(zip(*values, strict=True)):
            earlier = delta.inserted.pop(key, None)
            if earlier is None:
                not_written_here.append(index)
            else:
                delta.positions.append(earlier)
            if is_upsert:
                delta.inserted[key] = delta.row_count + index
        if not_written_here:
            delta.keys.append(conform(part.take(not_written_here), file_schema))


__all__ = ["Changes", "UpsertWriter"]
