"""Why reading files failed, in words that name the file."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg.io import FileIO

from autostream.errors import AutostreamError, DataError
from autostream.lake.engine import Engine, read_parquet
from autostream.lake.files import Content, LiveFile


def explain_failure(
    engine: Engine, files: Sequence[LiveFile], error: Exception, *, io: FileIO, table: str
) -> AutostreamError:
    """Return what to tell a user about an engine's error: the resource that ran out, or the damaged file."""
    if exhausted := engine.explain_exhaustion(error):
        return exhausted
    for file in files:
        if damage := find_damage(engine, file, io):
            return DataError(
                f"Table {table}: {_kind(file)} file {file.path} {damage}. Restore it, or roll the table back to a "
                "snapshot without it."
            )
    return DataError(
        f"Table {table} cannot be read: {error}. No file of it is missing or cut short; see the log for the failed "
        "step."
    )


def find_damage(engine: Engine, file: LiveFile, io: FileIO) -> str | None:
    """Return what is wrong with a file, None if nothing is found."""
    source = io.new_input(file.path)
    if not source.exists():
        return "is missing"
    if (size := len(source)) != file.size_bytes:
        return f"is {size} bytes long, its manifest says {file.size_bytes}"
    if file.file_format == "parquet":
        try:
            # A hash needs every value: counts would be answered from the footer.
            engine.rows(f"SELECT max(hash(COLUMNS(*))) FROM {read_parquet([engine.path(file.path)])}")
        except Exception as error:  # whatever the reader says is the answer
            return f"cannot be read: {str(error).strip().splitlines()[0]}"
    return None


def _kind(file: LiveFile) -> str:
    return {
        Content.DATA: "data",
        Content.POSITION_DELETES: "position-delete",
        Content.EQUALITY_DELETES: "equality-delete",
    }[file.content]
