"""Which deletes apply to which data file: rules R5 to R13 of the Iceberg spec, in one place.

Pure: no file is opened here. Scan, inspect, planning and commit all ask the same index.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from pyiceberg.types import IcebergType, StringType

from autostream.iceberg.files import FILE_PATH_FIELD_ID, Content, LiveFile, PartitionKey, normalize_path, path_form
from autostream.iceberg.proven_metrics import ColumnFacts, bound_value, column_facts


class KeyRanges:
    """Tells from metadata alone whether an equality-delete file can hold a key of a data file.

    As Java's DeleteFileIndex does, by bounds and null counts of each equality column, but only as far as they prove
    anything (`proven_metrics`). Everything else counts as possible, so an answer of "cannot" is certain.
    """

    def __init__(self, types: Callable[[int], IcebergType | None]) -> None:
        """Look column types up with `types`, which returns None for an unknown field id."""
        self._type_of = types
        self._types: dict[int, IcebergType | None] = {}
        self._columns: dict[tuple[str, int], ColumnFacts | None] = {}

    def may_match(self, delete: LiveFile, data: LiveFile) -> bool:
        """Say whether some row of `data` may have a key that `delete` holds."""
        for field_id in delete.equality_ids:
            ours, theirs = self._column(delete, field_id), self._column(data, field_id)
            if ours is not None and theirs is not None and not ours.overlaps(theirs):
                return False
        return True

    def _column(self, file: LiveFile, field_id: int) -> ColumnFacts | None:
        key = (file.path, field_id)
        if key not in self._columns:
            if field_id not in self._types:
                self._types[field_id] = self._type_of(field_id)
            self._columns[key] = column_facts(file, field_id, self._types[field_id])
        return self._columns[key]


class _BySequence:
    """Delete files in order of sequence number, so that those at or past a number are one slice."""

    def __init__(self, files: Iterable[LiveFile]) -> None:
        self.files: Sequence[LiveFile] = sorted(files, key=lambda f: (f.sequence_number, f.path))
        self._numbers = [f.sequence_number for f in self.files]

    def past(self, sequence_number: int) -> Sequence[LiveFile]:
        return self.files[bisect_right(self._numbers, sequence_number) :]

    def at_or_past(self, sequence_number: int) -> Sequence[LiveFile]:
        return self.files[bisect_left(self._numbers, sequence_number) :]


_NONE = _BySequence(())


class DeleteIndex:
    """The deletes of one snapshot, indexed by what they can apply to."""

    def __init__(
        self,
        deletes: Iterable[LiveFile],
        *,
        unpartitioned_specs: frozenset[int],
        types: Callable[[int], IcebergType | None],
    ) -> None:
        """Index delete files.

        Args:
            deletes: live position- and equality-delete files.
            unpartitioned_specs: ids of specs without a partition field (or with void ones only): their
                equality deletes are global.
            types: column type by field id, for dropped columns too; None where the id is unknown.
        """
        global_equality: list[LiveFile] = []
        equality: dict[PartitionKey, list[LiveFile]] = defaultdict(list)
        by_path: dict[str, list[LiveFile]] = defaultdict(list)
        by_partition: dict[PartitionKey, list[LiveFile]] = defaultdict(list)
        for file in deletes:
            if file.content == Content.EQUALITY_DELETES:
                (global_equality if file.spec_id in unpartitioned_specs else equality[file.partition]).append(file)
            elif file.referenced_path is not None:
                by_path[normalize_path(file.referenced_path)].append(file)
            else:
                by_partition[file.partition].append(file)
        self._global_equality = _BySequence(global_equality)
        self._equality = {key: _BySequence(files) for key, files in equality.items()}
        self._by_path = {key: _BySequence(files) for key, files in by_path.items()}
        self._by_partition = {key: _BySequence(files) for key, files in by_partition.items()}
        self._keys = KeyRanges(types)

    def equality_deletes(self, data: LiveFile) -> list[LiveFile]:
        """Return the equality-delete files that can apply to a data file (R5): committed after it, in its scope."""
        number, may_match = data.sequence_number, self._keys.may_match
        scoped = self._equality.get(data.partition, _NONE)
        return [
            delete
            for scope in (self._global_equality, scoped)
            for delete in scope.past(number)
            if may_match(delete, data)
        ]

    def position_deletes(self, data: LiveFile) -> list[LiveFile]:
        """Return the position-delete files that can apply to a data file (R6)."""
        path, number = data.key, data.sequence_number
        named = [d for d in self._by_path.get(path, _NONE).at_or_past(number) if d.partition == data.partition]
        scoped = self._by_partition.get(data.partition, _NONE).at_or_past(number)
        return named + [delete for delete in scoped if _may_reference(delete, path)]

    def deletes(self, data: LiveFile) -> list[LiveFile]:
        """Return every delete file that can apply to a data file."""
        return self.equality_deletes(data) + self.position_deletes(data)


def _may_reference(delete: LiveFile, path: str) -> bool:
    """Say whether a position-delete file's path bounds admit a data file's (normalised) path."""
    lower = bound_value(delete.lower_bounds.get(FILE_PATH_FIELD_ID), StringType())
    upper = bound_value(delete.upper_bounds.get(FILE_PATH_FIELD_ID), StringType(), upper=True)
    if lower is None or upper is None:
        return True
    ends = str(lower), str(upper)
    low, high = map(normalize_path, ends)
    # Bounds order paths as they were written. Ends of different form (file:/t/a and /t/b), or cut within the scheme or
    # the first folder, do not order the normalised ones.
    if len({path_form(end) for end in ends}) > 1 or low.count("/") < 2 or high.count("/") < 2 or low > high:
        return True
    return low <= path <= high


def applicable(index: DeleteIndex, data_files: Iterable[LiveFile]) -> dict[str, LiveFile]:
    """Return, by path, every delete file that can apply to at least one of the data files."""
    return {delete.path: delete for data in data_files for delete in index.deletes(data)}


def removable(
    *,
    deletes: Mapping[str, LiveFile],
    index: DeleteIndex,
    remaining: Iterable[LiveFile],
    applied: frozenset[str],
    outputs: Iterable[LiveFile],
) -> dict[str, LiveFile]:
    """Return the delete files that may leave the table in a commit (rule 4).

    A delete file leaves if and only if nothing that is live after the commit can still need it: no data file that
    stays, and no output that was written without having had it applied.

    Args:
        deletes: all delete files that are live in the snapshot being committed upon, by path.
        index: the index of those.
        remaining: data files live in that snapshot which the commit does not replace.
        applied: paths of the delete files that the outputs were written against, that is, those of the planned
            snapshot.
        outputs: data files that the commit adds.
    """
    needed = set(applicable(index, remaining))
    needed |= applicable(index, outputs).keys() - applied
    return {path: file for path, file in deletes.items() if path not in needed}
