"""Deletes applied to data: the merge-on-read join, in bounded memory.

In two passes, whatever the size. The first reads only key columns and finds the dead rows: `data SEMI JOIN deletes`
on the key (NULL matches NULL) and a larger sequence number, for each set of equality ids, and the positions that
position deletes name. The second reads all columns and anti-joins the dead rows. Both joins spill, and the first can be
cut by the hash of the key, so no set of deletes is too large.

In one pass where the deletes surely fit into memory: the data is read once and anti-joined with the deletes, collapsed
to the largest sequence number of each key.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
from pyiceberg.types import IcebergType, NestedField

from autostream.iceberg.files import Content, LiveFile
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.file_relations import ROWS, Relations
from autostream.lake.engine.sql_text import sql_list

logger = logging.getLogger(__name__)

DeletesOf = Callable[[LiveFile], Sequence[LiveFile]]
"""The delete files that can apply to a data file."""

# Into how many parts, by hash of the key, the search for dead rows is cut when it does not fit into memory.
_PARTS = (1, 8, 64)


@dataclass(frozen=True)
class DeadRows:
    """The rows that deletes remove: a temporary table of `_row`; None if there are none."""

    table: str | None
    count: int


@dataclass(frozen=True)
class _Deletes:
    """Delete files by set of equality ids, with the data files that they reach, and those by position."""

    by_ids: dict[tuple[int, ...], list[LiveFile]]
    reached: dict[tuple[int, ...], set[str]]
    positions: list[LiveFile]

    @classmethod
    def of(cls, files: Sequence[LiveFile], deletes_of: DeletesOf) -> _Deletes:
        by_ids: dict[tuple[int, ...], dict[str, LiveFile]] = {}
        reached: dict[tuple[int, ...], set[str]] = {}
        positions: dict[str, LiveFile] = {}
        for file in files:
            for delete in deletes_of(file):
                if delete.content == Content.POSITION_DELETES:
                    positions[delete.path] = delete
                else:
                    ids = tuple(sorted(delete.equality_ids))
                    by_ids.setdefault(ids, {})[delete.path] = delete
                    reached.setdefault(ids, set()).add(file.path)
        return cls({ids: list(found.values()) for ids, found in by_ids.items()}, reached, list(positions.values()))


def fits_at_once(deletes: Iterable[LiveFile], memory_limit_bytes: int) -> bool:
    """Estimate whether the deletes of a merge fit into memory, so that one pass does.

    A delete row takes about 32 bytes in a hash table, and what it takes in its file four times over.
    """
    return sum(32 * delete.claimed_rows + 4 * delete.size_bytes for delete in deletes) <= memory_limit_bytes


def live_rows_at_once(
    relations: Relations, files: Sequence[LiveFile], deletes_of: DeletesOf, *, columns: Sequence[NestedField]
) -> str:
    """Return the relation of the rows that no delete removes, with columns `c<id>`, read in one pass."""
    deletes = _Deletes.of(files, deletes_of)
    keys = {i: relations.key_type(i, found[0]) for ids, found in deletes.by_ids.items() for i in ids}
    data = relations.data(files, columns=columns, keys=keys, indexes=range(len(files)))
    joins = ""
    for number, (ids, found) in enumerate(sorted(deletes.by_ids.items())):
        names = ", ".join(f"k{i}" for i in ids)
        newest = f"(SELECT {names}, max(_seq) AS _seq FROM {relations.equality_deletes(found, ids)} GROUP BY {names})"
        joins += f" ANTI JOIN {newest} x{number} ON {_same_key(ids, f'x{number}')} AND x{number}._seq > d._seq"
    if deletes.positions:
        joins += f" ANTI JOIN {relations.position_deletes(deletes.positions, files)} p ON p._row = d._row"
    return f"(SELECT d.* FROM {data} d{joins})"


def _same_key(ids: Sequence[int], deletes: str) -> str:
    return " AND ".join(f"{deletes}.k{i} IS NOT DISTINCT FROM d.k{i}" for i in ids)


def find_dead_rows(
    engine: Engine,
    relations: Relations,
    files: Sequence[LiveFile],
    deletes_of: DeletesOf,
) -> DeadRows:
    """Find the rows of data files of one spec and partition that deletes remove.

    Args:
        engine: an open session.
        relations: the table's files.
        files: data files; a dead row names its file by its index here.
        deletes_of: the delete files that can apply to a data file.

    Raises:
        duckdb.OutOfMemoryException: not even the smallest part fits.
    """
    deletes = _Deletes.of(files, deletes_of)
    if not deletes.by_ids and not deletes.positions:
        return DeadRows(None, 0)
    table = f"dead_{engine.scratch('').name}"
    engine.execute(f"CREATE TEMP TABLE {table} (_row BIGINT)")
    for ids, applied in sorted(deletes.by_ids.items()):
        _insert_by_keys(engine, relations, table, files, deletes.reached[ids], applied, ids)
    if deletes.positions:
        engine.execute(f"INSERT INTO {table} SELECT * FROM {relations.position_deletes(deletes.positions, files)}")
    (count,) = engine.rows(f"SELECT count(*) FROM {table}")[0]
    return DeadRows(table if count else None, count)


def count_dead(engine: Engine, dead: DeadRows, rows: Sequence[int]) -> tuple[int, int]:
    """Return how many rows at least and at most are dead, of files with `rows` rows each.

    The table may name a row several times, and position deletes may name rows that there are not: each row that there
    is counts once. Where memory does not suffice for that, only the most is known.
    """
    if dead.table is None:
        return 0, 0
    sizes = sql_list(str(size) for size in rows)
    existing = f"SELECT DISTINCT _row FROM {dead.table} WHERE _row % {ROWS} < {sizes}[_row // {ROWS} + 1]"
    try:
        ((count,),) = engine.rows(f"SELECT count(*) FROM ({existing})")
    except duckdb.OutOfMemoryException:
        return 0, dead.count
    return count, count


def most_deletable(files: Iterable[LiveFile], deletes_of: DeletesOf, rows: Mapping[str, int]) -> int:
    """Return how many rows deletes can remove at most; `rows` are those of each data and delete file, by path."""
    by_key = by_position = 0
    positions: set[str] = set()
    for file in files:
        applied = [delete for delete in deletes_of(file) if rows[delete.path]]
        if any(delete.content == Content.EQUALITY_DELETES for delete in applied):
            by_key += rows[file.path]
        else:
            by_position += min(rows[file.path], sum(rows[delete.path] for delete in applied))
            positions.update(delete.path for delete in applied)
    return by_key + min(by_position, sum(rows[path] for path in positions))


def _insert_by_keys(
    engine: Engine,
    relations: Relations,
    table: str,
    files: Sequence[LiveFile],
    reached: set[str],
    deletes: Sequence[LiveFile],
    ids: Sequence[int],
) -> None:
    keys: dict[int, IcebergType] = {i: relations.key_type(i, deletes[0]) for i in ids}
    touched = [(i, file) for i, file in enumerate(files) if file.path in reached]
    data = relations.data([file for _, file in touched], columns=(), keys=keys, indexes=[i for i, _ in touched])
    dead = relations.equality_deletes(deletes, ids)
    names = ", ".join(f"k{i}" for i in ids)
    for parts in _PARTS:  # a part that was done before the memory ran out is done again: dead twice is dead
        try:
            for part in range(parts):
                cut = f" WHERE hash({names}) % {parts} = {part}" if parts > 1 else ""
                engine.execute(
                    f"INSERT INTO {table} SELECT d._row FROM (SELECT * FROM {data}{cut}) d"
                    f" SEMI JOIN (SELECT * FROM {dead}{cut}) x"
                    f" ON {_same_key(ids, 'x')} AND x._seq > d._seq"
                )
            return
        except duckdb.OutOfMemoryException:
            if parts == _PARTS[-1]:
                raise
            logger.info("The deletes do not fit into memory in %d part(s). Continuing with more parts.", parts)


def live_rows(
    relations: Relations,
    files: Sequence[LiveFile],
    dead: DeadRows,
    *,
    columns: Sequence[NestedField],
    chosen: Sequence[int],
) -> str:
    """Return the relation of the rows that are not dead of the chosen files (by index), with columns `c<id>`."""
    data = relations.data([files[i] for i in chosen], columns=columns, indexes=chosen)
    if dead.table is None:
        return f"(SELECT * FROM {data} d)"
    return f"(SELECT d.* FROM {data} d ANTI JOIN {dead.table} x ON x._row = d._row)"
