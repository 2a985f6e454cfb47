"""Why compaction merges files or leaves them: reasons as values, which can be told in other languages too. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

REASONS: Final[Mapping[str, str]] = {
    "rewrite-all": "rewrite-all",
    "enough-files": "{files} files to merge",
    "enough-bytes": "enough for an output of {size}",
    "too-large": "more than one file may hold ({size})",
    "many-deletes": "{files} with {deletes}+ delete files",
    "many-deleted-rows": "{files} with {share}+ of rows deleted",
    "good-sizes": "{files} files of good size, none with {deletes} deletes (at most {most})",
    "too-few-files": "{candidates} of {files} files could be merged, fewer than min-input-files {least}",
    "no-data-files": "no data files",
    "contradiction": "the table contradicts itself",
}
"""All reasons by their ids, in English; `{NAME}` stands for a value."""


@dataclass(frozen=True)
class CompactionReason:
    """Why files are merged, or are not.

    Attributes:
        id: One of `REASONS`.
        values: What stands for the names in its words, as it is shown.
    """

    id: str
    values: Mapping[str, int | str]

    def __str__(self) -> str:
        """Return it in English."""
        return REASONS[self.id].format(**self.values)


def in_words(reasons: Iterable[CompactionReason]) -> str:
    """Return reasons in English."""
    return "; ".join(map(str, reasons))
