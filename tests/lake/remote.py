"""Object storage for tests: a FileIO for ``mem://`` locations, which no engine knows by itself."""

from typing import Any

from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.fsspec import FsspecFileIO


class MemoryFileIO(FsspecFileIO):
    """Keeps files in this process."""

    def get_fs(self, scheme: str, hostname: str | None = None) -> AbstractFileSystem:
        return MemoryFileSystem()


def remote_catalog(directory: Any) -> SqlCatalog:
    """Return a catalog whose tables are in ``mem://``; its warehouse is emptied first."""
    MemoryFileSystem.store.clear()
    catalog = SqlCatalog(
        "lake",
        **{
            "uri": f"sqlite:///{directory}/remote.db",
            "warehouse": "mem://warehouse",
            "py-io-impl": f"{MemoryFileIO.__module__}.{MemoryFileIO.__name__}",
        },
    )
    catalog.create_namespace("db")
    return catalog


def stored_paths() -> set[str]:
    """Return the locations of all files."""
    return {path.lstrip("/") for path in MemoryFileSystem.store}
