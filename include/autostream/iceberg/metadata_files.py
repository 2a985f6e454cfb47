"""Why a manifest or a manifest list cannot be read: the storage, damage, or what this version does not know."""

from __future__ import annotations

import io

from pyiceberg.io import FileIO

from autostream.errors import AutostreamError, DataError, ServiceError, UnsupportedFileError


def explain_unreadable(file_io: FileIO, path: str, what: str, error: Exception) -> AutostreamError:
    """Return what to tell a user of an Avro file of metadata that could not be read.

    Only what is missing, or what fastavro, which has nothing in common with PyIceberg's reader, cannot read either, is
    called damaged.

    Args:
        file_io: the table's FileIO.
        path: the file.
        what: what it is, with its name: `Manifest s3://...`.
        error: what the reader said.
    """
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, AutostreamError):
        return error
    if isinstance(error, FileNotFoundError):
        return DataError(
            f"{what} is missing, so its snapshot cannot be read. Restore the file, or roll the table back to a "
            "snapshot whose files exist."
        )
    try:
        with file_io.new_input(path).open() as stream:
            raw = stream.read()
    except AutostreamError as unreachable:
        return unreachable
    except Exception as unreachable:  # each storage fails in its own way
        return ServiceError(
            f"Cannot read {what}: {type(unreachable).__name__}: {unreachable}. Check the storage and the permissions "
            "of this account, then try again."
        )
    import fastavro  # here, for it is needed for what is damaged only

    try:
        for _ in fastavro.reader(io.BytesIO(raw)):
            pass
    except Exception as second:  # whatever the reader says is the answer
        if not (raw.startswith(b"Obj\x01") and "codec" in str(second).lower()):
            return DataError(
                f"{what} cannot be read ({said}; a second reader: {type(second).__name__}: {second}). Restore the "
                "file, or roll the table back to a snapshot that does not list it."
            )
        said = str(second)
    return UnsupportedFileError(
        f"{what} is a valid Avro file, but this version of autostream cannot read it ({said}). Nothing was changed. "
        "Use another engine for this table, or rewrite the manifests with that engine (rewrite_manifests), and "
        "report this."
    )
