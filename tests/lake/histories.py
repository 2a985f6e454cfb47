"""Random histories of an upsert table, played against the real thing and a dictionary model at once."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import event
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import IntegerType, LongType, NestedField, StringType

from autostream.demo.writer import Changes, UpsertWriter
from autostream.iceberg.files import Content
from autostream.iceberg.state import is_unpartitioned, read_state
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.compaction_result import CompactionResult, FileCounts
from autostream.lake.compaction.compaction_steps import CompactionStep
from autostream.lake.compaction.table_compaction import compact_table
from autostream.lake.scan import scan_table
from autostream.resources import EngineResources
from tests.support.model import UpsertModel
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows

SCHEMA = Schema(
    NestedField(1, "a", IntegerType(), required=False),
    NestedField(2, "b", StringType(), required=False),
    NestedField(3, "v", LongType(), required=False),
)
KEY_SETS = ((1,), (1,), (1, 2), (1, 2), (2,), ())

Key = tuple[int | None, str | None]


@dataclass(frozen=True)
class Write:
    """A checkpoint: keys to upsert and to delete, addressed by one set of equality ids; none: plain appends."""

    ids: tuple[int, ...]
    upserts: tuple[Key, ...]
    deletes: tuple[Key, ...]
    whole_rows: bool


@dataclass(frozen=True)
class DeletePosition:
    """A position delete against some row of some live data file, as a merge-on-read DELETE makes it."""

    file: int
    position: int
    names_file: bool


@dataclass(frozen=True)
class Evolve:
    """A change of the schema or the partition spec."""

    how: str


@dataclass(frozen=True)
class Compact:
    """A compaction with these options, and what writers commit at its steps."""

    options: Mapping[str, str]
    meanwhile: tuple[tuple[CompactionStep, Write | DeletePosition], ...]


Action = Write | DeletePosition | Evolve | Compact

_keys = st.tuples(st.sampled_from([None, 0, 1, 2, 3]), st.sampled_from([None, "x", "y"]))
_writes = st.builds(
    Write,
    ids=st.sampled_from(KEY_SETS),
    upserts=st.lists(_keys, min_size=1, max_size=6).map(tuple),
    deletes=st.lists(_keys, max_size=3).map(tuple),
    whole_rows=st.booleans(),
)
_positions = st.builds(DeletePosition, file=st.integers(0, 9), position=st.integers(0, 4), names_file=st.booleans())
_options = st.fixed_dictionaries(
    {},
    optional={
        "rewrite-all": st.just("true"),
        "sequence-number": st.just("starting-snapshot"),
        "min-input-files": st.sampled_from(["1", "2"]),
        "delete-file-threshold": st.just("1"),
        "partial-progress.enabled": st.just("true"),
        "partial-progress.max-commits": st.sampled_from(["1", "2"]),
        "max-file-group-size-bytes": st.sampled_from(["1", "2500"]),
        "target-file-size-bytes": st.sampled_from(["1", "1000"]),
    },
)
_steps = st.sampled_from([s for s in CompactionStep if s is not CompactionStep.SWAPPED])
_compactions = st.builds(
    Compact,
    options=_options,
    meanwhile=st.lists(st.tuples(_steps, st.one_of(_writes, _positions)), max_size=2).map(tuple),
)
_evolutions = st.builds(
    Evolve,
    st.sampled_from(
        ["add", "rename-key", "rename-value", "promote", "drop-b", "drop-added", "bucket", "identity", "unpartition"]
    ),
)
# Long enough that deletes of several checkpoints meet, and mostly writes.
HISTORIES = st.lists(
    st.one_of(_writes, _writes, _writes, _writes, _positions, _evolutions, _compactions), min_size=6, max_size=14
)


@dataclass
class World:
    """A table, its writers and the model of what it holds."""

    directory: Path
    model: UpsertModel = field(default_factory=UpsertModel)

    def __post_init__(self) -> None:
        self.catalog = SqlCatalog(
            "lake", uri=f"sqlite:///{self.directory}/lake.db", warehouse=f"file://{self.directory}/wh"
        )
        self.catalog.create_namespace("db")
        properties = {"commit.retry.min-wait-ms": "0", "commit.retry.max-wait-ms": "0"}
        self.catalog.create_table("db.t", SCHEMA, properties=properties)
        self.values = itertools.count(1)
        self.names = itertools.count(1)

    def table(self) -> Table:
        """Return the table as the catalog has it now."""
        return self.catalog.load_table("db.t")

    def play(self, action: Action) -> CompactionResult | None:
        """Do one thing to the table and to the model."""
        match action:
            case Write():
                self.write(action)
            case DeletePosition():
                self.delete_position(action)
            case Evolve():
                self.evolve(action.how)
            case Compact():
                return self.compact(action)
        return None

    def write(self, write: Write) -> None:
        """Commit a checkpoint."""
        table = self.table()
        schema = table.schema()
        ids = tuple(i for i in write.ids if schema.find_column_name(i))
        names = {i: schema.find_column_name(i) for i in (1, 2, 3)}

        def rows(keys: tuple[Key, ...]) -> pa.Table | None:
            cells = [{1: a, 2: b, 3: next(self.values)} for a, b in keys]
            types = {
                1: pa.int64() if isinstance(schema.find_type(1), LongType) else pa.int32(),
                2: pa.string(),
                3: pa.int64(),
            }
            columns = {n: pa.array([c[i] for c in cells], types[i]) for i, n in names.items() if n}
            return pa.table(columns) if keys else None

        changes = Changes(
            tuple(schema.find_column_name(i) or "" for i in ids),
            upserts=rows(write.upserts),
            deletes=rows(write.deletes) if ids else None,
        )
        UpsertWriter(table, whole_row_deletes=write.whole_rows).checkpoint(changes)
        self.model.checkpoint(schema, changes, scope=lambda row: _scope(table, row))

    def delete_position(self, action: DeletePosition) -> None:
        """Commit a position delete against a live row, if there is one, as another engine would."""
        table = self.table()
        files = sorted(read_state(table).data.values(), key=lambda f: (f.sequence_number, f.path))
        if not files:
            return
        file = files[action.file % len(files)].entry
        assert isinstance(file, DataFile)
        position = action.position % file.record_count
        writer = UpsertWriter(table)
        delete = writer.files.write_position_deletes([(file, [position])])
        if not action.names_file:  # older writers leave no bounds: the file then stands for its whole partition
            delete.lower_bounds.clear()
            delete.upper_bounds.clear()
        writer.commit(deletes=[delete])
        self.model.delete_where(3, _value_at(table, file, position))

    def evolve(self, how: str) -> None:
        """Change schema or partition spec, where that makes sense now."""
        table = self.table()
        schema = table.schema()
        name = {i: schema.find_column_name(i) for i in (1, 2, 3)}
        added = [f.name for f in schema.fields if f.field_id > 3]
        if how in ("bucket", "identity", "unpartition"):
            self._repartition(table, how)
            return
        with table.update_schema(allow_incompatible_changes=True) as update:
            if how == "add":
                update.add_column(f"added{next(self.names)}", LongType())
            elif how == "rename-key":
                update.rename_column(name[1] or "", f"key{next(self.names)}")
            elif how == "rename-value":
                update.rename_column(name[3] or "", f"value{next(self.names)}")
            elif how == "promote" and isinstance(schema.find_type(1), IntegerType):
                update.update_column(name[1] or "", field_type=LongType())
            elif (
                how == "drop-b"
                and name[2]
                and not any(f.source_id == 2 for s in table.specs().values() for f in s.fields)
            ):
                update.delete_column(name[2])
            elif how == "drop-added" and added:
                update.delete_column(added[0])

    def _repartition(self, table: Table, how: str) -> None:
        schema = table.schema()
        key, region = schema.find_column_name(1) or "", schema.find_column_name(2)
        number = next(self.names)
        with table.update_spec() as update:
            for part in table.spec().fields:
                update.remove_field(part.name)
            if how == "bucket" and not any(isinstance(f.transform, BucketTransform) for f in table.spec().fields):
                update.add_field(key, BucketTransform(2), f"bucket{number}")
            elif (
                how == "identity"
                and region
                and not any(isinstance(f.transform, IdentityTransform) for f in table.spec().fields)
            ):
                update.add_field(region, IdentityTransform(), f"part{number}")

    def compact(self, action: Compact) -> CompactionResult:
        """Compact, with writers committing at its steps; then check what it says of itself."""
        table = self.table()
        waiting = list(action.meanwhile)

        def on_step(step: CompactionStep) -> None:
            for item in [item for item in waiting if item[0] == step]:
                waiting.remove(item)
                self.play(item[1])

        result = compact_table(
            table,
            "lake.db.t",
            options=CompactionOptions.from_properties(table.properties, action.options),
            resources=EngineResources(threads=1, spill_directory=self.directory),
            on_step=on_step,
        )
        assert not result.failures, result.failures
        event(f"compaction: {result.status}" + (" with conflicts" if result.conflicts else ""))
        if result.commits:
            snapshot = next(s for s in self.table().metadata.snapshots if s.snapshot_id == result.snapshot_id)
            state = read_state(self.table(), snapshot_id=snapshot.snapshot_id)
            assert vars(result.after) == vars(FileCounts.of(state))
            self._check_totals(state.snapshot.summary, result)
        return result

    def _check_totals(self, summary: Any, result: CompactionResult) -> None:
        totals = summary.additional_properties
        assert summary.operation.value == "replace"
        assert int(totals["total-data-files"]) == result.after.data_files
        assert int(totals["total-records"]) == result.after.records
        assert int(totals["total-files-size"]) == result.after.bytes
        deletes = result.after.equality_delete_files + result.after.position_delete_files
        assert int(totals["total-delete-files"]) == deletes

    def check(self, context: str) -> None:
        """Compare the table, by a naive reader, with the model."""
        table = self.table()
        assert_same_rows(read_table(table), self.model.rows(table.schema()), context=f"naive reader {context}")

    def check_scan(self, context: str) -> None:
        """Compare the table, by our own scan, with the model."""
        table = self.table()
        resources = EngineResources(threads=1, spill_directory=self.directory)
        rows = scan_table(table, resources=resources).to_arrow()
        assert_same_rows(rows, self.model.rows(table.schema()), context=f"scan {context}")

    def check_no_deletes_needed(self) -> None:
        """After everything was merged without a writer in between, no delete file is left."""
        state = read_state(self.table())
        assert not [f for f in state.deletes.values() if f.content != Content.DATA]


def _scope(table: Table, row: Mapping[str, Any]) -> Hashable:
    spec = table.spec()
    if is_unpartitioned(spec):
        return None
    schema = table.schema()
    values = []
    for part in spec.fields:
        value = row.get(schema.find_column_name(part.source_id) or "")
        values.append(None if value is None else part.transform.transform(schema.find_type(part.source_id))(value))
    return (spec.spec_id, *values)


def _value_at(table: Table, file: DataFile, position: int) -> int:
    import pyarrow.parquet as pq

    with table.io.new_input(file.file_path).open() as stream:
        rows = pq.read_table(stream)
    names = [f.name for f in rows.schema if (f.metadata or {}).get(b"PARQUET:field_id") == b"3"]
    value: int = rows[names[0]][position].as_py()
    return value


def play(directory: Path, history: list[Action]) -> None:
    """Play a history; the table must equal the model after each compaction and at the end."""
    world = World(directory)
    for number, action in enumerate(history):
        result = world.play(action)
        if result is not None and result.commits:
            world.check(f"after action {number} of {history}")
    world.check_scan(f"after {history}")
    world.play(Compact({"rewrite-all": "true"}, ()))
    world.check(f"after {history} and a compaction of everything")
    world.check_no_deletes_needed()
