"""Files that nothing refers to, deleted as far as that is possible."""

from __future__ import annotations

from collections.abc import Iterable

from pyiceberg.io import FileIO


def delete_files(io: FileIO, locations: Iterable[str]) -> list[str]:
    """Delete files as far as that is possible; returns those that stayed, for the orphan sweep."""
    left = []
    for location in locations:
        try:
            io.delete(location)
        except FileNotFoundError:
            continue
        except Exception:  # a file that cannot be deleted now is the orphan sweep's; the first error must not be hidden
            left.append(location)
    return left
