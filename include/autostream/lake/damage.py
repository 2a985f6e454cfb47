"""Why reading files failed, in words that name the file."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg.io import FileIO

from autostream.errors import AutostreamError, DataError, UnsupportedFileError
from autostream.lake.engine import Engine, read_parquet
from autostream.lake.files import Content, LiveFile
from autostream.lake.limits import find_limit


def explain_failure(
    engine: Engine, files: Sequence[LiveFile], error: Exception, *, io: FileIO, table: str
) -> AutostreamError:
    """Return what to tell a user about an engine's error: what the storage said, what ran out, or the damaged file."""
    said = error if isinstance(error, AutostreamError) else engine.storage_failures.behind(error)
    if said is not None and not isinstance(said, DataError):
        # Denied, unreachable, full: the files may be sound.
        return type(said)(f"Table {table}: {said}")
    if exhausted := engine.explain_exhaustion(error):
        return exhausted
    for file in files:
        if limit := find_limit(engine, file, io):
            return UnsupportedFileError(
                f"Table {table}: {_kind(file)} file {file.path} holds {limit}. The file is sound, but this version of "
                "autostream cannot read it. Nothing was touched. Compact the table with another engine, or let it "
                "rewrite the file."
            )
        if damage := find_damage(engine, file, io):
            return DataError(
                f"Table {table}: {_kind(file)} file {file.path} {damage}. Restore it, or roll the table back to a "
                "snapshot without it."
            )
    return DataError(
        f"Table {table} cannot be read: {_words(error)}. No file of it is missing or cut short; see the log for the "
        "failed step."
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
            return f"cannot be read: {_words(error)}"
    return None


def _words(error: Exception) -> str:
    """The line that says it: the first, or the last where the engine quotes a traceback of the storage's."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (lines[-1] if "Traceback" in lines[0] else lines[0]).strip().rstrip(".")


def _kind(file: LiveFile) -> str:
    return {
        Content.DATA: "data",
        Content.POSITION_DELETES: "position-delete",
        Content.EQUALITY_DELETES: "equality-delete",
    }[file.content]
