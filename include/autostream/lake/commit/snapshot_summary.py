"""The summary of a replace snapshot (rule 7). Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from autostream import __version__
from autostream.iceberg.files import Content, LiveFile
from autostream.iceberg.state import TableState
from autostream.lake.commit.replacements import Replacement


def summarize(base: TableState, replacements: Sequence[Replacement], removed: Collection[LiveFile]) -> dict[str, str]:
    """Return the summary of a replace snapshot: what it changes, and totals counted from the live files themselves.

    A total of rows of which some file's writer did not say how many it has is left out, as Java leaves it out.
    """
    outputs = [file for item in replacements for file in item.outputs]
    inputs = [file for item in replacements for file in item.group.files]
    gone = {file.path for file in (*inputs, *removed)}
    data = [file for path, file in base.data.items() if path not in gone]
    deletes = [file for path, file in base.deletes.items() if path not in gone]

    def of(content: Content, files: Collection[LiveFile]) -> list[LiveFile]:
        return [file for file in files if file.content == content]

    equality, position = of(Content.EQUALITY_DELETES, removed), of(Content.POSITION_DELETES, removed)
    changes = {
        "added-data-files": len(outputs),
        "deleted-data-files": len(inputs),
        "added-records": sum(f.record_count for f in outputs),
        "deleted-records": sum(item.rows_read for item in replacements),
        "added-files-size": sum(f.file_size_in_bytes for f in outputs),
        "removed-files-size": sum(f.size_bytes for f in (*inputs, *removed)),
        "removed-delete-files": len(removed),
        "removed-equality-delete-files": len(equality),
        "removed-position-delete-files": len(position),
        "removed-equality-deletes": sum(f.claimed_rows for f in equality),
        "removed-position-deletes": sum(f.claimed_rows for f in position),
        "changed-partition-count": len({f.partition for f in (*inputs, *removed)}),
    }
    rows = _rows(data)
    totals = {
        "total-data-files": len(data) + len(outputs),
        "total-delete-files": len(deletes),
        "total-records": None if rows is None else rows + changes["added-records"],
        "total-files-size": sum(f.size_bytes for f in (*data, *deletes)) + changes["added-files-size"],
        "total-position-deletes": _rows(of(Content.POSITION_DELETES, deletes)),
        "total-equality-deletes": _rows(of(Content.EQUALITY_DELETES, deletes)),
    }
    counts = {key: str(value) for key, value in changes.items() if value}
    counts |= {key: str(value) for key, value in totals.items() if value is not None}
    return counts | {"engine-name": "autostream", "engine-version": __version__}


def _rows(files: Collection[LiveFile]) -> int | None:
    counts = [file.record_count for file in files]
    return None if any(count < 0 for count in counts) else sum(counts)
