"""Files that nothing refers to, deleted as far as that is possible."""

from __future__ import annotations

from collections.abc import Iterable

from pyiceberg.io import FileIO


def delete_files(io: FileIO, locations: Iterable[str]) -> list[str]:
    """Delete files as far as possible; return those that could not be deleted."""
    left = []
    for location in locations:
        try:
            io.delete(location)
        except FileNotFoundError:
            continue
        except Exception:  # the file stays; the first error must not be hidden
            left.append(location)
    return left
