from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.conversions import to_bytes
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import (
    DateType,
    IcebergType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestampNanoType,
    TimestampType,
    TimestamptzNanoType,
    TimestamptzType,
)

from autostream.catalogs.opening import open_table
from autostream.config import WatermarkSettings
from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import ConfigurationError, DataError
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.table_compaction import compact_table
from autostream.watermark.marks import MarkSource, TableMark
from autostream.watermark.reading import column_bounds as bounds
from autostream.watermark.reading.column_bounds import (
    COLUMN,
    LATENESS,
    ColumnBound,
    column_mark,
    largest_bound,
    latest_in,
    to_ticks,
)
from autostream.watermark.reading.derived_marks import derive_mark

HOUR = 3_600_000
SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "tz", TimestamptzType()),
    NestedField(3, "ts", TimestampType()),
    NestedField(4, "day", DateType()),
    NestedField(5, "name", StringType()),
    NestedField(6, "inner", StructType(NestedField(7, "tz", TimestamptzType(), required=False)), required=False),
    identifier_field_ids=[1],
)
START = datetime(2024, 5, 1, tzinfo=UTC)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def hour(number: int, minute: int = 0) -> datetime:
    return START + timedelta(hours=number, minutes=minute)


class Lake:
    def __init__(self, catalog: SqlCatalog, *transforms: Any, column: str | None = "tz", **properties: str) -> None:
        fields = [PartitionField(source, 1000 + n, t, f"p{n}") for n, (source, t) in enumerate(transforms)]
        named = {COLUMN: column} if column else {}
        created = catalog.create_table(
            "db.t",
            SCHEMA,
            partition_spec=PartitionSpec(*fields),
            properties={"format-version": "2", **named, **{k.replace("_", "."): v for k, v in properties.items()}},
        )
        self.catalog, self.writer = catalog, UpsertWriter(created)

    @property
    def table(self) -> Table:
        return open_table("lake.db.t", catalog=self.catalog)

    def write(self, *moments: datetime | None, first_id: int = 1) -> None:
        self.writer.checkpoint(Changes((), rows(*moments, first_id=first_id)))

    def upsert(self, *moments: datetime | None, first_id: int = 1) -> None:
        self.writer.checkpoint(Changes(("id",), rows(*moments, first_id=first_id)))

    def set(self, **properties: str) -> None:
        with self.table.transaction() as transaction:
            transaction.set_properties({k.replace("_", ".").replace("..", "-"): v for k, v in properties.items()})

    def mark(self) -> TableMark:
        mark = column_mark(self.table, "lake.db.t")
        assert mark is not None
        assert mark.source is MarkSource.COLUMN
        assert mark.writers == ()
        return mark


def rows(*moments: datetime | None, first_id: int = 1) -> pa.Table:
    plain = [None if m is None else m.replace(tzinfo=None) for m in moments]
    return pa.table(
        {
            "id": pa.array(range(first_id, first_id + len(moments)), pa.int64()),
            "tz": pa.array(moments, pa.timestamp("us", "UTC")),
            "ts": pa.array(plain, pa.timestamp("us")),
            "day": pa.array([None if m is None else m.date() for m in moments], pa.date32()),
            "name": pa.array(["x" * 40] * len(moments)),
            "inner": pa.array([{"tz": m} for m in moments], pa.struct([("tz", pa.timestamp("us", "UTC"))])),
        }
    )


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the manifests that are read, and nothing remembered from earlier tests."""
    bounds.REMEMBERED.forget()
    names: list[str] = []
    real: Callable[..., ColumnBound] = bounds.read_bounds

    def read(io: Any, manifest: Any, field_id: int, ticks_a_day: int) -> ColumnBound:
        names.append(manifest.manifest_path)
        return real(io, manifest, field_id, ticks_a_day)

    monkeypatch.setattr(bounds, "read_bounds", read)
    return names


def test_without_the_property_nothing_is_derived(lake: SqlCatalog) -> None:
    assert column_mark(Lake(lake, column=None).table, "lake.db.t") is None


@pytest.mark.parametrize(
    ("column", "expected"),
    [("tz", hour(9, 30)), ("ts", hour(9, 30)), ("day", hour(0))],
)
def test_the_largest_upper_bound_counts(lake: SqlCatalog, column: str, expected: datetime) -> None:
    lake_table = Lake(lake, column=column)
    lake_table.write(hour(3), hour(9, 30), hour(1))
    lake_table.write(hour(2), None, first_id=10)

    assert lake_table.mark() == TableMark("lake.db.t", MarkSource.COLUMN, ms(expected))


def test_a_field_of_a_struct(lake: SqlCatalog) -> None:
    lake_table = Lake(lake, column="inner.tz")
    files = lake_table.writer.files.write_data(rows(hour(1)), partition=())
    files[0].upper_bounds[7] = to_bytes(TimestamptzType(), ms(hour(7)) * 1000)
    lake_table.writer.commit(files)

    assert lake_table.mark().watermark_ms == ms(hour(7))


def test_microseconds_are_cut_not_rounded(lake: SqlCatalog) -> None:
    lake_table = Lake(lake)
    lake_table.write(hour(1) + timedelta(microseconds=1999))

    assert lake_table.mark().watermark_ms == ms(hour(1)) + 1


def test_times_before_1970_too(lake: SqlCatalog) -> None:
    lake_table = Lake(lake)
    lake_table.write(datetime(1969, 12, 31, 23, 59, 59, 999_500, tzinfo=UTC))

    assert lake_table.mark().watermark_ms == -1


def test_the_allowed_lateness_is_subtracted(lake: SqlCatalog) -> None:
    lake_table = Lake(lake)
    lake_table.write(hour(9))
    with lake_table.table.transaction() as transaction:
        transaction.set_properties({LATENESS: str(HOUR)})

    assert lake_table.mark().watermark_ms == ms(hour(8))


@pytest.mark.parametrize("lateness", ["-1", "5min", "", "1.5"])
def test_a_wrong_lateness_is_named(lake: SqlCatalog, lateness: str) -> None:
    lake_table = Lake(lake)
    with lake_table.table.transaction() as transaction:
        transaction.set_properties({LATENESS: lateness})

    with pytest.raises(
        ConfigurationError, match=rf"lake\.db\.t: property {LATENESS} is '{lateness}'.*whole number from 0"
    ):
        lake_table.mark()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("missing", r"column 'missing', which does not exist \(columns: id, tz, ts"),
        ("TZ", r"column 'TZ', which does not exist"),
        ("name", r"column 'name' of type string\. It must be a timestamp"),
        ("id", r"column 'id' of type long"),
        ("inner", r"column 'inner' of type struct"),
    ],
)
def test_a_wrong_column_is_named(lake: SqlCatalog, column: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"property {COLUMN} names {message}"):
        derive_mark(Lake(lake, column=column).table, "lake.db.t", WatermarkSettings())


def test_a_renamed_column_is_found_by_its_new_name_in_old_files(lake: SqlCatalog) -> None:
    lake_table = Lake(lake)
    lake_table.write(hour(9))
    with lake_table.table.update_schema() as update:
        update.rename_column("tz", "event_time")

    with pytest.raises(ConfigurationError, match=r"column 'tz'.*If it was renamed, set the property to its new name"):
        lake_table.mark()
    with lake_table.table.transaction() as transaction:
        transaction.set_properties({COLUMN: "event_time"})

    assert lake_table.mark().watermark_ms == ms(hour(9))


def test_an_empty_table_has_no_watermark(lake: SqlCatalog) -> None:
    lake_table = Lake(lake)
    assert lake_table.mark().watermark_ms is None

    lake_table.write(None, None)

    assert lake_table.mark() == TableMark(
        "lake.db.t", MarkSource.COLUMN, None, problems=("no live data file has a value of column tz",)
    )


def test_files_without_metrics_do_not_count_and_are_said(lake: SqlCatalog) -> None:
    lake_table = Lake(lake)
    lake_table.write(hour(9))
    lake_table.set(write_metadata_metrics_column_tz="none")
    lake_table.writer = UpsertWriter(lake_table.table)
    lake_table.write(hour(11), first_id=10)

    mark = lake_table.mark()

    assert mark.watermark_ms == ms(hour(9))
    assert mark.problems == (
        "ignored 1 data file without an upper bound of column tz; see the table property "
        "write.metadata.metrics.column.tz",
    )


def test_sentinels_and_broken_bounds_do_not_count(lake: SqlCatalog) -> None:
    lake_table = Lake(lake)
    lake_table.write(hour(9))
    lake_table.write(datetime(9999, 12, 31, tzinfo=UTC), first_id=10)
    broken = lake_table.writer.files.write_data(rows(hour(12), first_id=20), partition=())
    broken[0].upper_bounds[2] = b"\x01\x02\x03"
    lake_table.writer.commit(broken)
    reversed_ = lake_table.writer.files.write_data(rows(hour(13), first_id=30), partition=())
    reversed_[0].lower_bounds[2] = (2**62).to_bytes(8, "little")
    lake_table.writer.commit(reversed_)

    mark = lake_table.mark()

    assert mark.watermark_ms == ms(hour(9))
    assert mark.problems[0].startswith("ignored 3 data files without an upper bound of column tz")


def test_only_live_files_of_the_current_snapshot_count(lake: SqlCatalog) -> None:
    lake_table = Lake(lake)
    write = lake_table.writer.files.write_data
    lake_table.writer.commit([*write(rows(hour(1)), partition=()), *write(rows(hour(9)), partition=())])
    snapshot = lake_table.table.metadata.current_snapshot()
    assert snapshot is not None
    (manifest,) = snapshot.manifests(lake_table.table.io)
    files = [entry.data_file for entry in manifest.fetch_manifest_entry(lake_table.table.io)]
    late = max(files, key=lambda file: file.upper_bounds[2])

    lake_table.writer.commit(remove=[late])

    assert lake_table.mark().watermark_ms == ms(hour(1))


def test_compaction_keeps_what_is_derived(lake: SqlCatalog) -> None:
    lake_table = Lake(lake, (2, HourTransform()))
    lake_table.upsert(hour(1), hour(9, 30))
    lake_table.upsert(hour(2), hour(9, 30))
    before = lake_table.mark()

    done = compact_table(lake_table.table, "lake.db.t", options=CompactionOptions(rewrite_all=True))

    assert done.status == "committed"
    assert lake_table.mark() == before
    assert before.watermark_ms == ms(hour(9, 30))


@pytest.mark.parametrize(
    "transform", [HourTransform(), DayTransform(), MonthTransform(), YearTransform(), IdentityTransform()]
)
def test_manifests_of_earlier_partitions_are_not_opened(lake: SqlCatalog, opened: list[str], transform: Any) -> None:
    lake_table = Lake(lake, (2, transform))
    years = [datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) for year in range(2000, 2024)]
    for number, moment in enumerate([*years, hour(5), years[3]]):
        lake_table.write(moment, first_id=10 * number)

    assert lake_table.mark().watermark_ms == ms(hour(5))
    assert len(opened) == 1


def test_all_manifests_of_the_last_partition_are_opened(lake: SqlCatalog, opened: list[str]) -> None:
    lake_table = Lake(lake, (2, DayTransform()))
    lake_table.write(hour(30))
    lake_table.write(hour(47, 59), first_id=10)
    lake_table.write(hour(23, 59), first_id=20)
    lake_table.write(hour(24), first_id=30)

    assert lake_table.mark().watermark_ms == ms(hour(47, 59))
    assert len(opened) >= 3


def test_partitions_of_other_columns_prune_nothing(lake: SqlCatalog, opened: list[str]) -> None:
    lake_table = Lake(lake, (3, DayTransform()), (2, BucketTransform(4)))
    for number in range(12):
        lake_table.write(hour(24 * number), first_id=10 * number)

    assert lake_table.mark().watermark_ms == ms(hour(24 * 11))
    assert len(opened) == 12


def test_a_date_column_partitioned_by_month(lake: SqlCatalog, opened: list[str]) -> None:
    lake_table = Lake(lake, (4, MonthTransform()), column="day")
    for number in range(6):
        lake_table.write(hour(24 * 31 * number), first_id=10 * number)

    assert lake_table.mark().watermark_ms == ms(hour(24 * 31 * 5))
    assert len(opened) == 1


def test_partitions_of_an_earlier_spec_are_understood(lake: SqlCatalog, opened: list[str]) -> None:
    lake_table = Lake(lake)
    lake_table.write(hour(30))
    with lake_table.table.update_spec() as update:
        update.add_field("tz", DayTransform(), "tz_day")
    lake_table.writer = UpsertWriter(lake_table.table)
    lake_table.write(hour(1), first_id=10)

    # The file without partition may hold anything: it is looked at, and it is the latest.
    assert lake_table.mark().watermark_ms == ms(hour(30))


def test_manifests_are_read_once(lake: SqlCatalog, opened: list[str]) -> None:
    lake_table = Lake(lake)
    lake_table.write(hour(1))
    first = lake_table.mark()
    assert lake_table.mark() == first
    assert len(opened) == 1

    lake_table.write(hour(2), first_id=10)

    assert lake_table.mark().watermark_ms == ms(hour(2))
    assert len(opened) == len(set(opened))


def test_what_is_remembered_of_one_column_is_not_that_of_another(lake: SqlCatalog, opened: list[str]) -> None:
    lake_table = Lake(lake)
    lake_table.write(hour(5))
    schema = lake_table.table.schema()

    assert largest_bound(lake_table.table, schema.find_field("tz")).ticks == ms(hour(5)) * 1000
    assert largest_bound(lake_table.table, schema.find_field("day")).ticks == (START.date() - date(1970, 1, 1)).days


def test_memory_is_bounded() -> None:
    memory = bounds.ManifestMemory(most=2)
    for key in "abc":
        memory.put((key,), ColumnBound(1))

    assert [memory.get((key,)) for key in "abc"] == [None, ColumnBound(1), ColumnBound(1)]


@pytest.mark.parametrize("what", ["manifest", "list"])
def test_a_file_that_is_missing_is_named(lake: SqlCatalog, opened: list[str], what: str) -> None:
    lake_table = Lake(lake)
    lake_table.write(hour(1))
    snapshot = lake_table.table.metadata.current_snapshot()
    assert snapshot is not None
    manifest = snapshot.manifests(lake_table.table.io)[0].manifest_path
    location = manifest if what == "manifest" else snapshot.manifest_list
    Path(location.removeprefix("file://")).unlink()

    with pytest.raises(DataError, match=f"{Path(location).name} is missing.*Restore the file"):
        lake_table.mark()


DAYS = {DateType: 1, TimestamptzType: 86_400_000_000, TimestampNanoType: 86_400_000_000_000}


@pytest.mark.parametrize(
    ("transform", "value", "column", "latest"),
    [
        (HourTransform(), 1, TimestamptzType, 2 * 3_600_000_000 - 1),
        (HourTransform(), 0, TimestampNanoType, 3_600_000_000_000 - 1),
        (DayTransform(), 1, TimestamptzType, 2 * 86_400_000_000 - 1),
        (DayTransform(), 7, DateType, 7),
        (MonthTransform(), 0, DateType, 30),
        (MonthTransform(), 11, DateType, 364),
        (MonthTransform(), 25, DateType, (date(1972, 3, 1) - date(1970, 1, 1)).days - 1),
        (YearTransform(), 0, DateType, 364),
        (YearTransform(), 8029, DateType, float("inf")),
        (DayTransform(), -1, DateType, float("inf")),
        (IdentityTransform(), -5, DateType, -5),
        (TruncateTransform(10), 5, DateType, float("inf")),
        (BucketTransform(10), 5, DateType, float("inf")),
    ],
)
def test_the_latest_value_of_a_partition(transform: Any, value: int, column: type[IcebergType], latest: float) -> None:
    assert latest_in(transform, value.to_bytes(4, "little", signed=True), DAYS[column]) == latest


def test_bounds_of_every_type() -> None:
    nanos = to_bytes(TimestamptzNanoType(), 12_345)
    assert to_ticks(nanos, DAYS[TimestampNanoType]) == 12_345
    assert to_ticks(to_bytes(DateType(), -3), 1) == -3
    # A timestamp that was a date when the file was written.
    assert to_ticks(to_bytes(DateType(), 2), DAYS[TimestamptzType]) == 2 * 86_400_000_000
    assert to_ticks(b"12345678", 1) is None
    assert to_ticks(b"", 1) is None


@pytest.mark.parametrize("ticks", [2**63 - 1, -(2**63), 316_516_464_000_000_000, 0])
@pytest.mark.parametrize("lateness", ["0", "999999999999999"])
def test_bounds_outside_of_the_calendar(
    lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, ticks: int, lateness: str
) -> None:
    monkeypatch.setattr(bounds, "largest_bound", lambda *_: ColumnBound(ticks))
    table = Lake(lake, column="tz", **{LATENESS: lateness}).table
    mark = derive_mark(table, "lake.db.t", WatermarkSettings())
    assert mark.to_dict()["watermark_ms"] == mark.watermark_ms
    assert mark.watermark_ms is None or mark.watermark_ms <= 0
    assert bool(mark.problems) is (mark.watermark_ms is None)


@pytest.mark.parametrize("text", ["٣", "9" * 16, "9" * 5000, "1_0", "-1", "1.5", ""])
def test_a_lateness_that_is_none(lake: SqlCatalog, text: str) -> None:
    with pytest.raises(ConfigurationError, match="must be a whole number from 0 to 999,999"):
        column_mark(Lake(lake, column="tz", **{LATENESS: text}).table, "t")
