"""Names, texts and files as they are written in the engine's SQL. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What the engine takes for a pattern in a local path; in brackets each stands for itself.
PATTERN = re.compile(r"[*?\[]")


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a string as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def sql_list(values: Iterable[str]) -> str:
    """Return SQL values as an SQL list."""
    return "[" + ", ".join(values) + "]"


def file_list(paths: Iterable[str]) -> str:
    """Return the SQL list of files, each of which stands for itself: on a local path the engine expands patterns."""
    return sql_list(text(PATTERN.sub(r"[\g<0>]", path) if is_local(path) else path) for path in paths)


def read_parquet(paths: Iterable[str]) -> str:
    """Return the SQL that reads Parquet files as they are: folders called `day=...` add or change no column."""
    return f"read_parquet({file_list(paths)}, hive_partitioning = false)"


def is_local(path: str) -> bool:
    """Say whether a path is on this machine's file system."""
    return path.startswith(("/", "file:"))
