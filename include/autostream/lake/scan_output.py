"""Where a scan may write to: asked before a catalog is opened, so that nothing is done in vain."""

from __future__ import annotations

from pathlib import Path

from autostream.errors import UsageError


def refuse_output(target: Path, *, overwrite: bool) -> None:
    """Refuse a file that cannot be made, or must not be replaced, before anything is read.

    Raises:
        UsageError: it is there, is no plain file, or its directory is missing.
    """
    if target.exists() and not target.is_file():
        raise UsageError(f"Cannot write {target}: it is not a plain file. Name a file.")
    if target.exists() and not overwrite:
        raise UsageError(
            f"{target} already exists and was not replaced. Name another file, or replace it with --overwrite."
        )
    if not target.absolute().parent.is_dir():
        raise UsageError(
            f"Cannot write {target}: directory {target.absolute().parent} does not exist. Name a file in an existing "
            "directory."
        )
