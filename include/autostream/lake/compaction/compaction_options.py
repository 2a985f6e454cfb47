"""How a table wants to be compacted: its properties, and what a run overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autostream.properties import Properties
from autostream.sizes import GIB, MIB

PROPERTY_PREFIX: Final = "autostream.compaction."
ENABLED: Final = PROPERTY_PREFIX + "enabled"

TARGET_FILE_SIZE: Final = "write.target-file-size-bytes"
OPTION_NAMES: Final = (
    "enabled",
    "engine",
    "sequence-number",
    "min-input-files",
    "delete-file-threshold",
    "delete-ratio-threshold",
    "max-file-group-size-bytes",
    "target-file-size-bytes",
    "min-file-size-ratio",
    "max-file-size-ratio",
    "rewrite-all",
    "partial-progress.enabled",
    "partial-progress.max-commits",
)


@dataclass(frozen=True)
class CompactionOptions:
    """Selection of files and groups, and how they are committed.

    Names and defaults are those of Iceberg's RewriteDataFiles, but for one: `delete_file_threshold` is 10 where
    Iceberg's is off. Iceberg's action counts on deletes being few; a Flink upsert job adds an equality-delete file to
    every partition it touches at each checkpoint, and each reader of the partition has to hold all of them, so a file
    that ten apply to is worth its rewrite.
    """

    enabled: bool = False
    engine: str = "duckdb"
    sequence_number: str = "max-merged"
    min_input_files: int = 5
    delete_file_threshold: int = 10
    delete_ratio_threshold: float = 0.3
    max_file_group_size_bytes: int = 100 * GIB
    target_file_size_bytes: int = 512 * MIB
    min_file_size_ratio: float = 0.75
    max_file_size_ratio: float = 1.8
    rewrite_all: bool = False
    partial_progress_enabled: bool = False
    partial_progress_max_commits: int = 10

    @property
    def min_file_size_bytes(self) -> float:
        """A file below this is too small."""
        return self.target_file_size_bytes * self.min_file_size_ratio

    @property
    def max_file_size_bytes(self) -> float:
        """A file above this is too large."""
        return self.target_file_size_bytes * self.max_file_size_ratio

    @classmethod
    def from_properties(
        cls, properties: Mapping[str, str], overrides: Mapping[str, str] | None = None, *, table: str = ""
    ) -> CompactionOptions:
        """Return the options of a table.

        Args:
            properties: the table's properties; those that are not `autostream.compaction.*` are ignored.
            overrides: options of this run, by their names without the prefix.
            table: the table's name, for messages.

        Raises:
            ConfigurationError: an option is unknown, or its value is not allowed.
        """
        of_table = Properties(f"Table {table}" if table else "", properties)
        stated = of_table.below(PROPERTY_PREFIX)
        run = Properties("", overrides or {}, kind="option")
        stated.refuse_unknown(OPTION_NAMES)
        run.refuse_unknown(OPTION_NAMES)
        said = run.or_else(stated)
        target_bytes = of_table.size(TARGET_FILE_SIZE, cls.target_file_size_bytes, minimum=1)
        return cls(
            enabled=said.boolean("enabled", cls.enabled),
            engine=said.read("engine", cls.engine, _engine),
            sequence_number=said.choice("sequence-number", cls.sequence_number, ("max-merged", "starting-snapshot")),
            min_input_files=said.whole("min-input-files", cls.min_input_files, minimum=1),
            delete_file_threshold=said.whole("delete-file-threshold", cls.delete_file_threshold, minimum=1),
            delete_ratio_threshold=said.number(
                "delete-ratio-threshold", cls.delete_ratio_threshold, minimum=0, maximum=1
            ),
            max_file_group_size_bytes=said.size("max-file-group-size-bytes", cls.max_file_group_size_bytes, minimum=1),
            target_file_size_bytes=said.size("target-file-size-bytes", target_bytes, minimum=1),
            min_file_size_ratio=said.number("min-file-size-ratio", cls.min_file_size_ratio, minimum=0, maximum=1),
            max_file_size_ratio=said.number("max-file-size-ratio", cls.max_file_size_ratio, minimum=1, maximum=1000),
            rewrite_all=said.boolean("rewrite-all", cls.rewrite_all),
            partial_progress_enabled=said.boolean("partial-progress.enabled", cls.partial_progress_enabled),
            partial_progress_max_commits=said.whole(
                "partial-progress.max-commits", cls.partial_progress_max_commits, minimum=1
            ),
        )


def _engine(text: str) -> str:
    # `spark` is for later versions: a table that asks for it can be looked at, and is not compacted.
    if text not in ("duckdb", "spark"):
        raise ValueError("duckdb")
    return text
