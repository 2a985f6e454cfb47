"""Sound Parquet files that the engine does not read: another reader does, so nothing in them is damaged."""

from __future__ import annotations

import duckdb
import pyarrow.parquet as pq
from pyiceberg.io import FileIO

from autostream.lake.engine import Engine, quoted, read_parquet
from autostream.lake.files import LiveFile

_NO_UTF8 = ("Invalid string encoding", "could not convert blob to UTF8")


def find_limit(engine: Engine, file: LiveFile, io: FileIO) -> str | None:
    """Return what a Parquet file holds that the engine cannot read though another reader can; else None."""
    if file.file_format != "parquet" or (said := _fails(engine, file, "COLUMNS(*)")) is None:
        return None
    try:
        with io.new_input(file.path).open(seekable=True) as stream:
            source = pq.ParquetFile(stream)
            for _ in source.iter_batches():
                pass
            names = source.schema_arrow.names
    except Exception:  # whatever the other reader says, it is no proof that the file is sound
        return None
    if any(sign in said for sign in _NO_UTF8):
        columns = [name for name in names if _fails(engine, file, quoted(name))]
        return f"strings that are no UTF-8 in column {', '.join(map(repr, columns))}"
    return f"what the merge engine does not read ({said.strip().splitlines()[0].rstrip('.')})"


def _fails(engine: Engine, file: LiveFile, columns: str) -> str | None:
    """Return what the engine says when it cannot read columns; a hash needs every value of them."""
    try:
        engine.rows(f"SELECT max(hash({columns})) FROM {read_parquet([engine.path(file.path)])}")
    except duckdb.Error as error:
        return str(error)
    return None
