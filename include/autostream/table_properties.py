"""The table properties that autostream reads or writes: the reference in the documentation is made of this list.

Who reads a property has its default and its checks; a test holds this list against the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class TableProperty:
    """A property of a table.

    Attributes:
        key: How it is written. NAME and COLUMN stand for the name of a writer and of a column.
        default: What counts where a table does not have it; empty where nothing does.
        meaning: What it is for, in Markdown.
    """

    key: str
    default: str
    meaning: str


_Rows = tuple[tuple[str, str, str], ...]

_COMPACTION: Final[_Rows] = (
    ("enabled", "false", "The hourly workflow and `table compact --enabled` compact this table."),
    ("engine", "duckdb", "The engine that rewrites the files. This version has only `duckdb`, and refuses `spark`."),
    (
        "sequence-number",
        "max-merged",
        "Data sequence number of the files that compaction writes. `max-merged`: the largest number of the merged "
        "files. `starting-snapshot`: the number of the planned snapshot.",
    ),
    ("min-input-files", "5", "Merge a group that has at least this many candidates."),
    (
        "delete-file-threshold",
        "10",
        "Rewrite a data file if at least this many delete files apply to it. Iceberg's action has this off, because "
        "it expects few deletes. A Flink upsert job writes a delete file at each checkpoint.",
    ),
    ("delete-ratio-threshold", "0.3", "Rewrite a data file if about this share of its rows is deleted."),
    (
        "max-file-group-size-bytes",
        "107374182400",
        ("The largest amount of data in a group of files that are merged together."),
    ),
    (
        "target-file-size-bytes",
        "536870912",
        "Size of the files that compaction writes. Default: `write.target-file-size-bytes`.",
    ),
    ("min-file-size-ratio", "0.75", "A file smaller than this share of the target size is too small."),
    ("max-file-size-ratio", "1.8", "A file larger than this many times the target size is too large."),
    ("rewrite-all", "false", "Rewrite every data file, even where nothing is gained."),
    ("partial-progress.enabled", "false", "Commit groups as soon as they are done, instead of all of them at the end."),
    ("partial-progress.max-commits", "10", "The most commits of one run with partial progress."),
)

_LOCKS: Final[_Rows] = (
    (
        "autostream.lock.type",
        "the catalog's",
        "What protects commits: `zookeeper`, `hive` or `none`. A catalog's property of the same name is its default.",
    ),
    ("autostream.lock.timeout-ms", "180000", "The longest wait for a ZooKeeper lock."),
    (
        "engine.hive.lock-enabled",
        "true",
        "Hive catalogs: whether commits take the Hive lock. All writers of the table must agree, see "
        "[Commits](../commits.md#beside-unchanged-java-writers).",
    ),
)

_WATERMARK: Final[_Rows] = (
    (
        "autostream.watermark.column",
        "",
        "Column whose largest value in the metadata is the watermark. It counts only where no writer reports a "
        "watermark.",
    ),
    ("autostream.watermark.allowed-lateness-ms", "0", "How far the watermark stays behind that value."),
)

_WRITTEN: Final[_Rows] = (
    ("autostream.watermark", "", "The table's watermark, epoch ms: the minimum of its active writers."),
    ("autostream.watermark.writer.NAME", "", "The watermark of one writer, epoch ms."),
    (
        "autostream.watermark.writer-state.NAME",
        "",
        "JSON: when the watermark was recorded, from which job, and why it does not advance.",
    ),
    ("autostream.watermark.reset", "", "JSON: when the watermark was last set back, by whom, and why."),
)

_HEALTH: Final[_Rows] = (
    ("write.upsert.enabled", "false", "Flink upserts into the table. A job is told if the table is not compacted."),
)

_COMMITS: Final[_Rows] = (
    ("commit.retry.num-retries", "4", "How many times a commit is retried after a conflict."),
    ("commit.retry.min-wait-ms", "100", "The shortest pause before a retry."),
    ("commit.retry.max-wait-ms", "60000", "The longest pause before a retry."),
    ("commit.retry.total-timeout-ms", "1800000", "A commit is not retried after this time."),
    (
        "commit.status-check.num-retries",
        "3",
        ("How many times the catalog is asked whether a commit with an unknown outcome was applied."),
    ),
    ("commit.status-check.min-wait-ms", "1000", "The shortest pause between two such questions."),
    ("commit.status-check.max-wait-ms", "60000", "The longest pause between two such questions."),
    ("commit.status-check.total-timeout-ms", "1800000", "The catalog is not asked again after this time."),
)

_FILES: Final[_Rows] = (
    ("write.target-file-size-bytes", "536870912", "Size of data files."),
    ("write.parquet.compression-codec", "zstd", "Compression of data files."),
    ("write.parquet.compression-level", "", "Compression level. Default: the level of the codec."),
    ("write.parquet.row-group-size-bytes", "", "The most bytes of a row group."),
    ("write.parquet.row-group-limit", "1048576", "The most rows of a row group."),
    ("write.parquet.bloom-filter-enabled.column.COLUMN", "false", "Whether files have a Bloom filter of this column."),
    ("write.metadata.metrics.default", "truncate(16)", "Which statistics of columns are kept."),
    ("write.metadata.metrics.column.COLUMN", "", "The same for one column."),
    ("write.metadata.metrics.max-inferred-column-defaults", "100", "The most columns that have statistics by default."),
    ("write.avro.compression-codec", "gzip", "Compression of manifests."),
    (
        "schema.name-mapping.default",
        "",
        ("JSON: maps the columns of files without field ids to the columns of the table."),
    ),
)

_HIVE: Final[_Rows] = (
    (
        "engine.hive.enabled",
        "the catalog's",
        "Hive catalogs: whether the entry in the metastore says that Hive can read the table.",
    ),
)

SECTIONS: Final[dict[str, tuple[str, _Rows]]] = {
    "Compaction": (
        "`autostream table compact --option KEY=VALUE` takes the same keys without `autostream.compaction.`, for "
        "one run. An unknown key is refused. Names and defaults are those of Iceberg's RewriteDataFiles, unless a "
        "row says otherwise.",
        tuple((f"autostream.compaction.{key}", default, meaning) for key, default, meaning in _COMPACTION),
    ),
    "Locks": ("", _LOCKS),
    "Watermark from a column": ("", _WATERMARK),
    "What autostream writes": (
        "Do not set these by hand: `autostream watermark set`, `retire` and `reset` change them.",
        _WRITTEN,
    ),
    "Commits": ("These are Iceberg's own, as in its Java library.", _COMMITS),
    "Health of jobs": (
        "`autostream flink health` reads this of the tables that jobs write to. It is Iceberg's own.",
        _HEALTH,
    ),
    "Files": ("These are Iceberg's own, as in its Java library.", _FILES),
    "Hive": ("", _HIVE),
}
"""The properties by subject, each subject with what is to be said of all of its properties."""


def table_properties() -> Iterator[TableProperty]:
    """Yield all properties."""
    for _, rows in SECTIONS.values():
        yield from (TableProperty(*row) for row in rows)


def markdown() -> str:
    """Return the reference: a heading and a table for each subject."""
    lines = []
    for subject, (about, rows) in SECTIONS.items():
        lines += [f"## {subject}", "", *([about, ""] if about else [])]
        lines += ["| property | default | meaning |", "| --- | --- | --- |"]
        lines += [
            f"| `{row.key}` | {_cell(row.default)} | {row.meaning} |" for row in (TableProperty(*r) for r in rows)
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _cell(default: str) -> str:
    return f"`{default}`" if default and " " not in default else default or "–"
