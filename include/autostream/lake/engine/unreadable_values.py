"""Sound Parquet files that the engine does not read: another reader does, so nothing in them is damaged."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from autostream.iceberg.files import LiveFile
from autostream.lake.engine.duckdb_engine import Engine
from autostream.lake.engine.sql_text import quoted, read_parquet

_NO_UTF8 = ("Invalid string encoding", "could not convert blob to UTF8")


def describe_limit(engine: Engine, file: LiveFile, names: Sequence[str], said: str) -> str:
    """Return what a sound file with columns `names` holds that the engine cannot read, and failed at as `said`."""
    if any(sign in said for sign in _NO_UTF8):
        columns = [name for name in names if _fails(engine, file, quoted(name))]
        return f"strings that are not UTF-8 in column {', '.join(map(repr, columns))}"
    return f"data that the merge engine cannot read ({said.strip().splitlines()[0].rstrip('.')})"


def _fails(engine: Engine, file: LiveFile, columns: str) -> bool:
    """Say whether the engine cannot read columns; a hash needs every value of them."""
    try:
        engine.rows(f"SELECT max(hash({columns})) FROM {read_parquet([engine.path(file.path)])}")
    except duckdb.Error:
        return True
    return False
