"""Deletes applied to data: the merge-on-read join, in bounded memory.

Two passes. The first reads only key columns and finds the dead rows: ``data SEMI JOIN deletes`` on the key (NULL
matches NULL) and a larger sequence number, for each set of equality ids, and the positions that position deletes name.
The second reads all columns and anti-joins the dead rows by file and row number. Both joins spill, and the first can
be cut by the hash of the key, so no set of deletes is too large.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
from pyiceberg.types import IcebergType, NestedField

from autostream.lake.engine import Engine
from autostream.lake.files import Content, LiveFile
from autostream.lake.relation import Relations

logger = logging.getLogger(__name__)

# Into how many parts, by hash of the key, the search for dead rows is cut when it does not fit into memory.
_PARTS = (1, 8, 64)


@dataclass(frozen=True)
class DeadRows:
    """The rows that deletes remove: a temporary table of ``_file`` and ``_pos``; None if there are none."""

    table: str | None
    count: int


def find_dead_rows(
    engine: Engine,
    relations: Relations,
    files: Sequence[LiveFile],
    deletes_of: Callable[[LiveFile], Sequence[LiveFile]],
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
    by_ids: dict[tuple[int, ...], tuple[dict[str, LiveFile], set[str]]] = {}
    positions: dict[str, LiveFile] = {}
    for file in files:
        for delete in deletes_of(file):
            if delete.content == Content.POSITION_DELETES:
                positions[delete.path] = delete
            else:
                applied, reached = by_ids.setdefault(tuple(sorted(delete.equality_ids)), ({}, set()))
                applied[delete.path] = delete
                reached.add(file.path)
    if not by_ids and not positions:
        return DeadRows(None, 0)
    table = f"dead_{engine.scratch('').name}"
    engine.execute(f"CREATE TEMP TABLE {table} (_file BIGINT, _pos BIGINT)")
    for ids, (applied, reached) in sorted(by_ids.items()):
        _insert_by_keys(engine, relations, table, files, reached, list(applied.values()), ids)
    if positions:
        engine.execute(
            f"INSERT INTO {table} SELECT * FROM {relations.position_deletes(list(positions.values()), files)}"
        )
    (count,) = engine.rows(f"SELECT count(*) FROM {table}")[0]
    return DeadRows(table if count else None, count)


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
    same = " AND ".join(f"x.k{i} IS NOT DISTINCT FROM d.k{i}" for i in ids)
    names = ", ".join(f"k{i}" for i in ids)
    for parts in _PARTS:  # a part that was done before the memory ran out is done again: dead twice is dead
        try:
            for part in range(parts):
                cut = f" WHERE hash({names}) % {parts} = {part}" if parts > 1 else ""
                engine.execute(
                    f"INSERT INTO {table} SELECT d._file, d._pos FROM (SELECT * FROM {data}{cut}) d"
                    f" SEMI JOIN (SELECT {names}, max(_seq) AS _seq FROM {dead}{cut} GROUP BY {names}) x"
                    f" ON {same} AND x._seq > d._seq"
                )
            return
        except duckdb.OutOfMemoryException:
            if parts == _PARTS[-1]:
                raise
            logger.info("The deletes do not fit into memory in %d part(s); going on with more.", parts)


def live_rows(
    relations: Relations,
    files: Sequence[LiveFile],
    dead: DeadRows,
    *,
    columns: Sequence[NestedField],
    chosen: Sequence[int] | None = None,
) -> str:
    """Return the relation of the rows of data files that are not dead, with columns ``c<id>``.

    ``chosen`` limits it to some of the files, by their index.
    """
    indexes = range(len(files)) if chosen is None else chosen
    data = relations.data([files[i] for i in indexes], columns=columns, indexes=indexes)
    if dead.table is None:
        return f"(SELECT * FROM {data} d)"
    return f"(SELECT d.* FROM {data} d ANTI JOIN {dead.table} x ON x._file = d._file AND x._pos = d._pos)"
