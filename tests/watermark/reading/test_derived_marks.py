from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField, TimestamptzType

from autostream.catalogs.opening import open_table
from autostream.config import WatermarkSettings
from autostream.demo.writer import Changes, UpsertWriter
from autostream.iceberg.snapshots import SnapshotFacts
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.table_compaction import compact_table
from autostream.times import FOREVER_MS
from autostream.watermark.marks import MarkSource, TableMark, WriterMark
from autostream.watermark.reading.derived_marks import (
    NAMELESS_CONNECTOR,
    VALID_THROUGH,
    derive_mark,
    parse_value,
    property_mark,
    summary_mark,
)
from tests.test_times import GUESSES

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "at", TimestamptzType()),
    identifier_field_ids=[1],
)
NOTHING = WatermarkSettings()
AT_10 = 1714558200000  # 2024-05-01T10:10Z
MINUTE = 60_000


def connector(name: str, valid_through: str | None = None) -> dict[str, str]:
    summary = {f"kafka.connect.offsets.{name}": '{"0":12}', "kafka.connect.commit-id": "c"}
    return summary | ({VALID_THROUGH: valid_through} if valid_through is not None else {})


class Lake:
    """One table and what is committed to it."""

    def __init__(self, catalog: SqlCatalog, properties: Mapping[str, str] | None = None) -> None:
        created = catalog.create_table("db.t", SCHEMA, properties={"format-version": "2", **(properties or {})})
        self.catalog, self.writer = catalog, UpsertWriter(created)

    @property
    def table(self) -> Table:
        return open_table("lake.db.t", catalog=self.catalog)

    def commit(self, summary: Mapping[str, str], *ids: int) -> int:
        rows = pa.table({"id": ids, "at": [datetime(2024, 5, 1, tzinfo=UTC)] * len(ids)}) if ids else None
        data = []
        if rows is not None:
            for partition, part in self.writer.files.partitioned(rows):
                data += self.writer.files.write_data(part, partition=partition)
        return self.writer.commit(data, summary=summary).snapshot_id

    def compact(self) -> None:
        self.writer.checkpoint(Changes(("id",), pa.table({"id": [1], "at": [datetime(2024, 5, 2, tzinfo=UTC)]})))
        done = compact_table(self.table, "lake.db.t", options=CompactionOptions(rewrite_all=True))
        assert done.status == "committed"
        head = self.table.metadata.current_snapshot()
        assert head is not None
        assert head.summary is not None
        assert head.summary.operation.value == "replace"

    def mark(self, **settings: object) -> TableMark:
        return derive_mark(self.table, "lake.db.t", WatermarkSettings(**settings))  # type: ignore[arg-type]


@pytest.fixture
def filled(lake: SqlCatalog) -> Lake:
    return Lake(lake)


# What values look like


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01T10:10Z", AT_10),
        ("2024-05-01T10:10:00.123Z", AT_10 + 123),
        ("2024-05-01T10:10:00.123999999Z", AT_10 + 123),
        ("2024-05-01T15:40+05:30", AT_10),
        ("2024-05-01T05:10:00.5-05:00", AT_10 + 500),
        (" 1714558200000 ", AT_10),
        (str(2**63 - 1), FOREVER_MS),
        (str(-(2**63)), None),
    ],
)
def test_values_as_other_tools_write_them(text: str, expected: int | None) -> None:
    assert parse_value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *GUESSES,
        *("", "soon", "-1", "0", "2024", "1.7e12", "²"),
        *("2024-05-01", "2024-05-01T10:10", "2024-05-01 10"),  # in which zone?
        str(2**63 - 2),
    ],
)
def test_garbage_is_no_value(text: str) -> None:
    with pytest.raises(ValueError):
        parse_value(text)


# Kafka Connect


def test_nothing_says_nothing(filled: Lake) -> None:
    assert filled.mark() == TableMark("lake.db.t", None, None)
    filled.commit({}, 1)
    assert filled.mark() == TableMark("lake.db.t", None, None)


def test_the_newest_of_each_connector_counts_and_of_those_the_lowest(filled: Lake) -> None:
    filled.commit(connector("control.cg-orders", "2024-05-01T10:00Z"), 1)
    told = filled.commit(connector("control.cg-orders", "2024-05-01T10:20Z"), 2)
    filled.commit(connector("control.cg-clicks.eu", "2024-05-01T10:10Z"), 3)

    mark = filled.mark()

    assert mark.source is MarkSource.SUMMARY
    assert mark.watermark_ms == AT_10
    snapshot = filled.table.metadata.snapshot_by_id(told)
    assert snapshot is not None
    assert mark.writer("control.cg-orders") == WriterMark(
        "control.cg-orders", AT_10 + 10 * MINUTE, snapshot.timestamp_ms
    )
    assert [writer.name for writer in mark.writers] == ["control.cg-clicks.eu", "control.cg-orders"]
    assert mark.problems == ()


def test_compaction_and_commits_of_others_are_walked_past(filled: Lake) -> None:
    filled.commit(connector("c.g", "2024-05-01T10:10Z"), 1, 2)
    before = filled.mark()

    filled.compact()
    filled.commit({"flink.job-id": "x"}, 5)
    filled.compact()

    assert filled.mark() == before
    assert before.watermark_ms == AT_10


def test_other_branches_do_not_count(filled: Lake) -> None:
    filled.commit(connector("c.g", "2024-05-01T10:10Z"), 1)
    table = filled.table
    assert table.metadata.current_snapshot_id is not None
    table.manage_snapshots().create_branch(table.metadata.current_snapshot_id, "audit").commit()
    table.append(
        pa.table({"id": [9], "at": [datetime(2024, 5, 1, tzinfo=UTC)]}, schema=table.schema().as_arrow()),
        snapshot_properties=connector("c.g", "2024-05-01T23:00Z"),
        branch="audit",
    )

    assert len(filled.table.metadata.snapshots) == 2
    assert filled.mark().watermark_ms == AT_10


def test_ancestors_that_have_expired_are_missed(filled: Lake) -> None:
    old = filled.commit(connector("c.g", "2024-05-01T10:10Z"), 1)
    filled.commit(connector("c.h", "2024-05-01T10:40Z"), 2)
    assert filled.mark().watermark_ms == AT_10

    filled.table.maintenance.expire_snapshots().by_id(old).commit()

    assert filled.mark().watermark_ms == AT_10 + 30 * MINUTE


def test_a_connector_that_never_said_an_instant_is_waited_for(filled: Lake) -> None:
    filled.commit(connector("c.g", "2024-05-01T10:10Z"), 1)
    filled.commit(connector("c.h"), 2)

    mark = filled.mark()

    assert mark.watermark_ms is None
    assert mark.writer("c.h") == WriterMark("c.h", None)


def test_a_partial_commit_keeps_what_its_connector_said_before(filled: Lake) -> None:
    filled.commit(connector("c.g", "2024-05-01T10:10Z"), 1)
    filled.commit(connector("c.g"), 2)

    assert filled.mark().watermark_ms == AT_10


def test_garbage_is_a_problem_and_what_was_true_stays(filled: Lake) -> None:
    filled.commit(connector("c.g", "2024-05-01T10:10Z"), 1)
    bad = filled.commit(connector("c.g", "yesterday"), 2)

    mark = filled.mark()

    assert mark.watermark_ms == AT_10
    (problem,) = mark.problems
    assert problem.startswith(f"snapshot {bad}, {VALID_THROUGH}: Invalid time 'yesterday'.")


def test_garbage_alone_is_no_watermark(filled: Lake) -> None:
    filled.commit(connector("c.g", "yesterday"), 1)

    assert (filled.mark().source, filled.mark().watermark_ms) == (MarkSource.SUMMARY, None)
    assert len(filled.mark().problems) == 1


def test_an_instant_without_offsets_is_of_a_nameless_connector() -> None:
    mark = summary_mark("t", [SnapshotFacts(1, None, 5, {VALID_THROUGH: "2024-05-01T10:10Z"})], ())

    assert mark is not None
    assert mark.writers == (WriterMark(NAMELESS_CONNECTOR, AT_10, 5),)


# Keys by configuration


def test_configured_summary_keys(filled: Lake) -> None:
    filled.commit({"write.watermark": "1714558200000"}, 1)
    filled.commit({}, 2)

    assert filled.mark().source is None
    assert filled.mark(summary_keys="write.watermark").watermark_ms == AT_10


def test_all_configured_summary_keys_are_needed_where_one_is_there(filled: Lake) -> None:
    filled.commit({"a": "2024-05-01T10:10:00Z"}, 1)

    assert filled.mark(summary_keys="a,b").watermark_ms is None
    assert filled.mark(summary_keys="b").source is None
    filled.commit({"b": "1714558200000"}, 1)
    assert filled.mark(summary_keys="a,b").watermark_ms == AT_10


def test_properties_of_other_tools_the_lowest_counts() -> None:
    properties = {"wm.us": str(AT_10 + 5), "wm.eu": str(AT_10), "wm.asia": "1"}

    mark = property_mark("t", properties, ["wm.us", "wm.eu"])

    assert mark == TableMark(
        "t", MarkSource.PROPERTY, AT_10, (WriterMark("wm.us", AT_10 + 5), WriterMark("wm.eu", AT_10))
    )
    assert property_mark("t", properties, ["other"]) is None
    assert property_mark("t", properties, []) is None


def test_a_region_that_has_not_reported_is_waited_for() -> None:
    mark = property_mark("t", {"wm.us": str(AT_10)}, ["wm.us", "wm.eu"])

    assert mark is not None
    assert mark.watermark_ms is None
    assert mark.writer("wm.eu") == WriterMark("wm.eu", None, note="the table has no property wm.eu")


@pytest.mark.parametrize("garbage", ["-1", "never"])
def test_garbage_in_a_property_is_a_problem(garbage: str) -> None:
    mark = property_mark("t", {"wm.us": str(AT_10), "wm.eu": garbage}, ["wm.us", "wm.eu"])

    assert mark is not None
    assert mark.watermark_ms is None
    (problem,) = mark.problems
    assert problem.startswith(f"table property wm.eu: Invalid time {garbage!r}.")


def test_properties_go_before_summaries_and_those_before_a_column(lake: SqlCatalog) -> None:
    filled = Lake(lake, {"watermark.table": "1714558200000", "autostream.watermark.column": "at"})
    filled.commit({}, 1)
    assert filled.mark().source is MarkSource.COLUMN

    filled.commit(connector("c.g", "2024-05-01T10:00Z"), 2)

    assert filled.mark().source is MarkSource.SUMMARY
    assert filled.mark(property_keys="watermark.table").source is MarkSource.PROPERTY
    assert filled.mark(property_keys="watermark.base").source is MarkSource.SUMMARY


# What cannot be true yet

NOW = AT_10 + 60 * MINUTE
SETTINGS = WatermarkSettings(property_keys=("wm.us", "wm.eu"))


@pytest.mark.parametrize("ahead_ms", [600_001, 2**62, 2**63 - 1 - NOW])
def test_a_derived_watermark_that_is_too_far_ahead_does_not_count(lake: SqlCatalog, ahead_ms: int) -> None:
    far = NOW + ahead_ms if ahead_ms < 2**60 else 2**63 - 1
    table = Lake(lake, {"wm.us": str(AT_10), "wm.eu": str(far)}).table

    mark = derive_mark(table, "lake.db.t", SETTINGS, now_ms=NOW)

    assert mark.watermark_ms is None
    assert mark.writer("wm.us") == WriterMark("wm.us", AT_10)
    (problem,) = mark.problems
    assert problem.startswith("wm.eu: ")
    assert ("ahead of now; the most is 10 min" if far < 2**60 else "it means that a writer has ended") in problem


def test_the_bound_is_configured(lake: SqlCatalog) -> None:
    table = Lake(lake, {"wm.us": str(NOW + 600_000), "wm.eu": str(NOW + 900_000)}).table

    assert derive_mark(table, "t", SETTINGS, now_ms=NOW).watermark_ms is None
    wider = SETTINGS.model_copy(update={"max_ahead_seconds": 900.0})
    assert derive_mark(table, "t", wider, now_ms=NOW).watermark_ms == NOW + 600_000


@pytest.mark.parametrize("year", [2027, 9000])
def test_one_row_of_the_future_does_not_complete_a_table(lake: SqlCatalog, year: int) -> None:
    filled = Lake(lake, {"autostream.watermark.column": "at"})
    rows = pa.table({"id": [1], "at": [datetime(year, 1, 1, tzinfo=UTC)]}, schema=filled.table.schema().as_arrow())
    filled.table.append(rows)

    mark = derive_mark(filled.table, "lake.db.t", WatermarkSettings(), now_ms=NOW)

    assert (mark.source, mark.watermark_ms) == (MarkSource.COLUMN, None)
    assert f"the column, less the lateness: {year}-01-01T00:00:00Z is" in mark.problems[0]
