import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField
from typer import Typer
from typer.testing import CliRunner, Result

from autostream.catalogs.opening import open_table
from autostream.cli.watermark_history import history
from autostream.errors import UsageError
from autostream.iceberg.snapshots import SnapshotFacts
from autostream.store.database import Database, open_database
from autostream.times import FOREVER_MS, iso
from autostream.watermark.changes import WatermarkChange, WriterReport, apply_reports, reset_watermark, retire_writer
from autostream.watermark.codec import RESET
from autostream.watermark.history import metadata_states
from autostream.watermark.history.completion import Completion, completed_at
from autostream.watermark.history.log import WatermarkLog
from autostream.watermark.history.log_entries import DAY_MS, STEP_MS, LogEntry
from autostream.watermark.history.metadata_facts import TableId, facts_of_commits
from autostream.watermark.history.publications import record_publication
from autostream.watermark.history.table_history import WatermarkHistory, watermark_history
from autostream.watermark.publish import publish
from autostream.watermark.reading.derived_marks import VALID_THROUGH
from tests.support.clocks import FakeClock

T0 = 1_790_002_800_000  # 2026-09-21T15:00Z
MINUTE = 60_000
NAME = "lake.db.t"


class Lake:
    """A table with watermarks. Recorder's times are small numbers after T0, so that metadata's own are later."""

    def __init__(self, catalog: SqlCatalog, database: Database) -> None:
        schema = Schema(NestedField(1, "id", LongType()))
        catalog.create_table("db.t", schema, properties={"format-version": "2"})
        self.catalog, self.database = catalog, database

    @property
    def table(self) -> Table:
        return open_table(NAME, catalog=self.catalog)

    def publish(self, change: object, *, recorded: bool = True) -> WatermarkChange:
        table = self.table
        done = publish(table, change)  # type: ignore[arg-type]
        if recorded:
            assert record_publication(table, done.events, database=self.database)
        return done

    def advance(self, watermark: int, at: int, *, writer: str = "w", recorded: bool = True, **more: object) -> None:
        report = WriterReport(writer, watermark, **more)  # type: ignore[arg-type]
        self.publish(lambda properties: apply_reports(properties, [report], now_ms=at), recorded=recorded)

    def reset(self, to: int, at: int, *, recorded: bool = True) -> None:
        self.publish(
            lambda properties: reset_watermark(properties, to, now_ms=at, by="ann", reason="bad rows"),
            recorded=recorded,
        )

    def append(self, summary: Mapping[str, str] | None = None) -> None:
        self.table.append(pa.table({"id": [1]}), snapshot_properties=dict(summary or {}))

    def entries(self, **limits: object) -> WatermarkHistory:
        return watermark_history(self.table, database=self.database, **limits)  # type: ignore[arg-type]

    def completed_at(self, until: int) -> Completion:
        return completed_at(self.table, until, database=self.database)

    def stored(self) -> list[LogEntry]:
        with self.database.read() as connection:
            return WatermarkLog(connection).entries(str(self.table.metadata.table_uuid))

    def forget(self) -> None:
        """Lose the database."""
        with self.database.write() as connection:
            for name in ("autostream_watermark_log", "autostream_metadata_read"):
                connection.exec_driver_sql(f"DELETE FROM {name}")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Iterator[Database]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", f"sqlite:///{tmp_path}/control.db")
    clock.ms = T0 + 60 * MINUTE
    database = open_database()
    yield database
    database.close()


@pytest.fixture
def table(lake: SqlCatalog, database: Database) -> Lake:
    return Lake(lake, database)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    (tmp_path / "file").write_text("")
    return Database(f"sqlite:///{tmp_path}/file/none.db")


def brief(found: WatermarkHistory) -> list[tuple[str, str | None, int | None]]:
    return [(e.kind, e.writer, None if e.watermark_ms is None else e.watermark_ms - T0) for e in found.entries]


# What the recorder writes


def test_what_is_published_is_recorded_once(table: Lake) -> None:
    table.advance(T0 + 5, T0 + 10, job_id="j", checkpoint_id=7, snapshot_id=9)
    table.advance(T0 + 6, T0 + 20)

    found = table.entries()

    assert brief(found) == [("join", "w", 5), ("advance", None, 5), ("advance", "w", 6), ("advance", None, 6)]
    assert [entry.recorded_at_ms - T0 for entry in found.entries] == [10, 10, 20, 20]
    assert (found.entries[0].job_id, found.entries[0].checkpoint_id, found.entries[0].snapshot_id) == ("j", 7, 9)
    assert found.problems == ()
    assert table.entries() == found


def test_nothing_published_is_nothing_recorded(table: Lake, broken: Database) -> None:
    assert record_publication(table.table, [], database=broken)


def test_a_database_that_is_down_fails_no_publication(
    table: Lake, broken: Database, caplog: pytest.LogCaptureFixture
) -> None:
    opened = table.table
    done = publish(opened, lambda properties: apply_reports(properties, [WriterReport("w", T0)], now_ms=T0))

    assert not record_publication(opened, done.events, database=broken)
    assert "Could not record the history of lake.db.t" in caplog.text
    assert brief(table.entries()) == [("advance", "w", 0), ("advance", None, 0)]


# What is rebuilt


def test_the_metadata_of_a_table_gives_back_what_was_lost(table: Lake) -> None:
    table.advance(T0 + 5, T0 + 10, recorded=False)
    table.append()
    table.advance(T0 + 6, T0 + 20, recorded=False, job_id="j")
    table.append()

    found = table.entries()

    assert brief(found) == [("advance", "w", 5), ("advance", "w", 6), ("advance", None, 5), ("advance", None, 6)]
    assert [entry.recorded_at_ms for entry in found.entries[:2]] == [T0 + 10, T0 + 20]
    assert found.entries[1].job_id == "j"
    # The table's own has the time of the commit that published it, not of a later one that carries it along.
    log = table.table.metadata.metadata_log
    assert [entry.recorded_at_ms for entry in found.entries[2:]] == [log[1].timestamp_ms, log[3].timestamp_ms]


def test_each_metadata_file_is_read_once(table: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = metadata_states.read_metadata
    monkeypatch.setattr(
        metadata_states, "read_metadata", lambda io, path, known: read.append(path) or real(io, path, known)
    )
    table.advance(T0 + 5, T0 + 10, recorded=False)
    table.append()
    table.entries()
    assert len(read) == 2

    table.entries()
    assert len(read) == 2
    table.append()
    table.append()
    table.entries()

    # The one that was current the first time is known already.
    assert len(read) == len(set(read)) == 3


def test_of_many_files_the_newest_are_read(table: Lake) -> None:
    for minute in range(6):
        table.advance(T0 + minute, T0 + minute, recorded=False)

    first = watermark_history(table.table, database=table.database, most_files=2)

    assert [e.watermark_ms for e in first.entries if e.writer] == [T0 + 3, T0 + 4, T0 + 5]
    assert first.problems == ("did not read 4 older metadata files of the table this time",)
    rest = table.entries()
    assert [e.watermark_ms for e in rest.entries if e.writer] == [T0 + n for n in range(6)]
    assert rest.problems == ()


def test_a_time_that_is_learned_to_be_earlier_counts(table: Lake) -> None:
    table.advance(T0, T0, recorded=False)
    for _ in range(4):
        table.append()
    late = watermark_history(table.table, database=table.database, most_files=1).entries[-1]

    early = table.entries().entries[-1]

    assert (late.writer, early.writer) == (None, None)
    assert early.recorded_at_ms == table.table.metadata.metadata_log[1].timestamp_ms <= late.recorded_at_ms


def test_files_that_are_missing_or_broken_are_skipped_and_said(table: Lake) -> None:
    for minute in range(3):
        table.advance(T0 + minute, T0 + minute, recorded=False)
    log = [Path(entry.metadata_file.removeprefix("file://")) for entry in table.table.metadata.metadata_log]
    log[1].unlink()
    log[2].write_text("{}")

    found = table.entries()

    assert [e.watermark_ms for e in found.entries if e.writer] == [T0 + 2]
    assert len(found.problems) == 2
    assert f"{log[1].name}: it is missing" in " ".join(found.problems)
    assert f"{log[2].name}: it is not table metadata" in " ".join(found.problems)


def test_compressed_metadata_is_read(table: Lake) -> None:
    table.advance(T0, T0, recorded=False)
    table.append()
    file = Path(table.table.metadata.metadata_log[-1].metadata_file.removeprefix("file://"))
    file.write_bytes(gzip.compress(file.read_bytes()))

    assert table.entries().problems == ()


def test_what_the_recorder_has_recorded_is_not_doubled(table: Lake) -> None:
    table.advance(T0 + 5, T0 + 10)
    table.advance(T0 + 5, T0 + 11, writer="slow")
    table.publish(lambda p: retire_writer(p, "w", now_ms=T0 + 15, by="ann", reason="gone"))
    table.advance(T0 + 9, T0 + 18, writer="slow")
    table.advance(T0 + 9, T0 + 19, writer="other")
    table.reset(T0 + 8, T0 + 20)
    table.reset(T0 + 6, T0 + 25)
    table.advance(T0 + 9, T0 + 30, writer="slow")
    table.advance(T0 + 9, T0 + 30, writer="other")
    before = table.stored()

    table.append()
    found = table.entries()

    assert list(found.entries) == before
    table.forget()
    rebuilt = table.entries()
    assert table.entries() == rebuilt
    assert [(e.kind, e.watermark_ms) for e in rebuilt.entries if not e.writer and e.kind == "reset"] == [
        (e.kind, e.watermark_ms) for e in before if not e.writer and e.kind == "reset"
    ]
    assert len([e for e in rebuilt.entries if e.kind == "retire"]) == 1


def test_a_retired_writer_is_rebuilt(table: Lake) -> None:
    table.advance(T0 + 5, T0 + 10, recorded=False)
    table.publish(lambda p: retire_writer(p, "w", now_ms=T0 + 15, by="ann", reason="gone"), recorded=False)

    (retired,) = [entry for entry in table.entries().entries if entry.kind == "retire"]

    assert (retired.writer, retired.watermark_ms, retired.note) == ("w", T0 + 5, "retired by ann: gone")
    assert retired.recorded_at_ms == table.table.metadata.last_updated_ms


def test_a_table_of_the_same_name_has_a_history_of_its_own(table: Lake, lake: SqlCatalog) -> None:
    table.advance(T0, T0)
    lake.drop_table("db.t")
    again = Lake(lake, table.database)

    assert again.entries().entries == ()


def test_a_renamed_table_keeps_its_history(table: Lake, lake: SqlCatalog) -> None:
    table.advance(T0, T0)
    lake.rename_table("db.t", "db.u")

    assert len(watermark_history("lake.db.u", database=table.database).entries) == 2


@pytest.mark.parametrize("garbage", ["{", "[]", '{"at-ms": "soon"}'])
def test_garbage_in_properties_is_no_history(table: Lake, garbage: str) -> None:
    with table.table.transaction() as transaction:
        transaction.set_properties({RESET: garbage, "autostream.watermark": "soon"})

    assert table.entries().entries == ()


# When was it complete


def test_when_a_table_was_complete(table: Lake) -> None:
    table.advance(T0 + 5, T0 + 100)
    table.advance(T0 + 8, T0 + 200)

    assert table.completed_at(T0 + 6).reached_at_ms == T0 + 200
    assert table.completed_at(T0 + 6).not_yet_at_ms == T0 + 100
    assert table.completed_at(T0 + 8).reached_at_ms == T0 + 200
    later = table.completed_at(T0 + 9)
    assert (later.reached, later.reached_at_ms) == (None, None)
    assert "is not known to be complete up to" in later.explanation


def test_the_first_that_is_known_may_not_be_the_first(table: Lake) -> None:
    table.advance(T0 + 5, T0 + 100)

    first = table.completed_at(T0 + 5)

    assert first.reached_at_ms == T0 + 100
    assert first.not_yet_at_ms is None
    assert "or earlier: nothing older is known" in first.explanation


@pytest.mark.parametrize("recorded", [True, False])
def test_what_was_set_back_counts_from_when_it_was_reached_again(table: Lake, recorded: bool) -> None:
    table.advance(T0 + 5, T0 + 100, recorded=recorded)
    table.advance(T0 + 10, T0 + 200, recorded=recorded)
    table.reset(T0 + 7, T0 + 300, recorded=recorded)

    taken_back = table.completed_at(T0 + 9)
    assert taken_back.reached is None
    assert [(w.reset.recorded_at_ms, w.reset.by, w.reset.note) for w in taken_back.withdrawn] == [
        (T0 + 300, "ann", "bad rows")
    ]
    assert "until it was set back at 2026-09-21 15:00 by ann (bad rows)" in taken_back.explanation
    # Up to where it was set back to, it has been complete all the time.
    kept = table.completed_at(T0 + 7)
    assert kept.withdrawn == ()
    assert kept.reached is not None
    if recorded:  # by the recorder's clock, which stands still here, the commits are later than the reset
        assert kept.reached.watermark_ms == T0 + 10

    table.advance(T0 + 10, T0 + 400, recorded=recorded)

    again = table.completed_at(T0 + 9)
    assert again.reached is not None
    assert again.reached.generation_ms == T0 + 300
    assert len(again.withdrawn) == 1
    if recorded:
        assert (again.reached_at_ms, again.withdrawn[0].reached_at_ms) == (T0 + 400, T0 + 200)
    assert ("reset", None, 7) in brief(table.entries())


def test_what_was_reached_only_after_a_reset_was_not_taken_back_by_it(table: Lake) -> None:
    table.advance(T0 + 5, T0 + 100)
    table.reset(T0 + 3, T0 + 200)
    table.advance(T0 + 10, T0 + 300)

    found = table.completed_at(T0 + 9)

    assert (found.reached_at_ms, found.not_yet_at_ms, found.withdrawn) == (T0 + 300, T0 + 200, ())


def test_set_back_twice(table: Lake) -> None:
    for at in (100, 300):
        table.advance(T0 + 10, T0 + at)
        table.reset(T0 + 1, T0 + at + 100)
    table.advance(T0 + 10, T0 + 500)

    found = table.completed_at(T0 + 10)

    assert found.reached_at_ms == T0 + 500
    assert [(w.reached_at_ms, w.reset.recorded_at_ms) for w in found.withdrawn] == [
        (T0 + 100, T0 + 200),
        (T0 + 300, T0 + 400),
    ]


# Without a database


def test_without_a_database_metadata_answers(table: Lake, broken: Database) -> None:
    table.advance(T0 + 5, T0 + 10)
    table.advance(T0 + 6, T0 + 20)

    found = watermark_history(table.table, database=broken)
    completion = completed_at(table.table, T0 + 6, database=broken)

    assert brief(found) == [("advance", "w", 5), ("advance", "w", 6), ("advance", None, 5), ("advance", None, 6)]
    assert completion.reached is not None
    for problems in (found.problems, completion.problems):
        assert len(problems) == 1
        assert "only from the table's metadata" in problems[0]
        assert "file/none.db failed" in problems[0]


@pytest.mark.integration
def test_history_in_postgresql(lake: SqlCatalog, database: Database, postgres_url: str) -> None:
    server = Database(postgres_url)
    server.upgrade()
    table = Lake(lake, server)
    table.advance(T0 + 5, T0 + 100)
    table.advance(T0 + 8, T0 + 200, recorded=False)
    table.reset(T0 + 2, T0 + 300)

    found = table.entries()

    assert [(e.kind, e.watermark_ms) for e in found.entries if e.writer is None] == [
        ("advance", T0 + 5),
        ("reset", T0 + 2),
        ("advance", T0 + 8),
    ]
    assert table.entries() == found
    assert len(table.completed_at(T0 + 4).withdrawn) == 1
    server.close()


# Kept within bounds


def test_old_metadata_is_not_read_and_old_records_go(
    table: Lake, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.advance(T0, T0)
    table.append()
    now = table.table.metadata.last_updated_ms
    clock.ms = now + 100 * DAY_MS
    table.advance(T0 + 5, now + 100 * DAY_MS)

    read: list[str] = []
    monkeypatch.setattr(metadata_states, "read_metadata", lambda io, path, known: read.append(path) or "")

    assert [e.watermark_ms for e in table.entries().entries if e.recorded_at_ms < now + DAY_MS] == []
    assert len(read) == 0


def test_thinned_records_do_not_come_back(table: Lake, clock: FakeClock) -> None:
    for minute in range(4):
        table.advance(T0 + minute * MINUTE, T0 + minute * MINUTE, recorded=False)
    table.append()
    assert len([e for e in table.entries().entries if e.writer]) == 4
    now = table.table.metadata.last_updated_ms
    clock.ms = now + 3 * DAY_MS
    with table.database.write() as connection:
        WatermarkLog(connection).thin(now_ms=now + 3 * DAY_MS, keep_days=90)

    for _ in range(2):
        assert [e.watermark_ms for e in table.entries().entries if e.writer is None] == [T0]
        table.forget()


# Kafka Connect and other tools


def connector(name: str, ms: int | None) -> dict[str, str]:
    said = {f"kafka.connect.offsets.{name}": "{}"}
    return said if ms is None else said | {VALID_THROUGH: str(iso(ms))}


def test_snapshots_tell_what_kafka_connect_said(table: Lake) -> None:
    table.append(connector("c.g", T0))
    table.append()
    table.append(connector("c.g", T0 + 5))

    found = table.entries()

    assert brief(found) == [
        ("advance", "c.g", 0),
        ("advance", None, 0),
        ("advance", "c.g", 5),
        ("advance", None, 5),
    ]
    snapshots = table.table.metadata.snapshots
    assert [e.recorded_at_ms for e in found.entries[::2]] == [snapshots[0].timestamp_ms, snapshots[2].timestamp_ms]
    assert found.entries[-1].snapshot_id == snapshots[2].snapshot_id
    assert table.entries() == found
    assert table.completed_at(T0 + 3).reached_at_ms == snapshots[2].timestamp_ms


def test_snapshots_that_expired_are_found_in_older_metadata(table: Lake) -> None:
    table.append(connector("c.g", T0))
    first = table.table.metadata.current_snapshot_id
    table.append(connector("c.g", T0 + 5))
    assert first is not None
    table.table.maintenance.expire_snapshots().by_id(first).commit()

    assert [e.watermark_ms for e in table.entries().entries if e.writer is None] == [T0, T0 + 5]


def test_snapshots_do_not_count_where_writers_report(table: Lake) -> None:
    table.append(connector("c.g", T0 + 50))
    table.advance(T0 + 5, T0 + 10)

    assert ("advance", "c.g", 50) not in brief(table.entries())


def test_properties_of_other_tools(table: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_WATERMARK__PROPERTY_KEYS", "wm.us,wm.eu")
    for us, eu in ((1, 5), (7, 5)):
        with table.table.transaction() as transaction:
            transaction.set_properties({"wm.us": str(T0 + us), "wm.eu": str(T0 + eu)})

    assert [e.watermark_ms for e in table.entries().entries if e.writer is None] == [T0 + 1, T0 + 5]


def said(number: int, **watermarks: int | None) -> SnapshotFacts:
    summary: dict[str, str] = {}
    for name, ms in watermarks.items():
        summary |= connector(name, ms)
    return SnapshotFacts(number, number - 1, number * 10, summary)


def facts(*commits: SnapshotFacts) -> list[tuple[str | None, int | None]]:
    return [(fact.writer, fact.watermark_ms) for fact in facts_of_commits(TableId("t", "u"), commits, ())]


def test_the_table_is_left_out_until_all_writers_are_known() -> None:
    # Before the snapshots that are left, b had a watermark too: a's alone was never the table's.
    assert facts(said(1, a=T0 + 9), said(2, b=T0 + 3), said(3, b=T0 + 12)) == [
        ("a", T0 + 9),
        ("b", T0 + 3),
        (None, T0 + 3),
        ("b", T0 + 12),
        (None, T0 + 9),
    ]
    assert facts(said(1, a=T0), said(2, b=None)) == [("a", T0)]
    assert facts(said(1, a=T0), said(2, a=None), said(3, a=T0)) == [("a", T0), (None, T0)]


# The command

app = Typer()
app.command("history")(history)


@app.callback()
def _group() -> None: ...


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["history", *arguments], catch_exceptions=False, env={"COLUMNS": "200"})


@pytest.fixture
def reached(table: Lake) -> Lake:
    table.advance(T0 + 5 * MINUTE, T0 + 6 * MINUTE, job_id="abc", checkpoint_id=7)
    table.advance(T0 + 10 * MINUTE, T0 + 11 * MINUTE)
    return table


def test_history_as_json(reached: Lake) -> None:
    result = invoke(NAME, "--json")

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["table"] == NAME
    assert document["problems"] == []
    assert document["entries"][0] == {
        "recorded_at": "2026-09-21T15:06:00Z",
        "recorded_at_ms": T0 + 6 * MINUTE,
        "kind": "join",
        "writer": "w",
        "watermark": "2026-09-21T15:05:00Z",
        "watermark_ms": T0 + 5 * MINUTE,
        "job_id": "abc",
        "checkpoint_id": 7,
        "snapshot_id": None,
        "by": None,
        "note": None,
    }
    assert len(document["entries"]) == 4


def test_history_of_a_time_and_a_writer(reached: Lake) -> None:
    def watermarks(*arguments: str) -> list[tuple[str | None, str]]:
        found = json.loads(invoke(NAME, "--json", *arguments).stdout)["entries"]
        return [(entry["writer"], entry["watermark"][11:16]) for entry in found]

    assert watermarks("--since", "2026-09-21T15:07Z") == [("w", "15:10"), (None, "15:10")]
    assert watermarks("--until", "2026-09-21T17:07", "--time-zone", "Europe/Berlin") == [
        ("w", "15:05"),
        (None, "15:05"),
    ]
    assert watermarks("--writer", "w") == [("w", "15:05"), ("w", "15:10")]
    assert watermarks("--limit", "1") == [(None, "15:10")]


def test_history_for_people(reached: Lake) -> None:
    result = invoke(NAME, "--limit", "4", "--time-zone", "Europe/Berlin")

    lines = result.stdout.splitlines()
    assert lines[0].split() == ["recorded", "what", "whose", "watermark", "by"]
    assert lines[1].split() == [
        *("2026-09-21", "17:06", "join", "w", "2026-09-21", "17:05", "job", "abc,", "checkpoint", "7")
    ]
    assert lines[4].split()[2:4] == ["advance", "table"]
    assert "These are the newest 4" in result.stderr


def test_when_it_was_complete(reached: Lake) -> None:
    result = invoke(NAME, "--at", "2026-09-21T15:10Z", "--json")

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (document["complete"], document["reached_at_ms"]) == (True, T0 + 11 * MINUTE)
    assert document["not_yet_at"] == "2026-09-21T15:06:00Z"
    text = invoke(NAME, "--at", "2026-09-21T17:10", "--time-zone", "Europe/Berlin").stdout
    assert text.strip() == f"{NAME} is complete up to 2026-09-21 15:10 UTC since 2026-09-21 15:11 UTC"


def test_when_it_is_not_complete_yet(reached: Lake) -> None:
    result = invoke(NAME, "--at", "2026-09-21T15:11Z", "--json")

    assert result.exit_code == 4
    assert json.loads(result.stdout)["complete"] is False


def test_nothing_is_known(table: Lake) -> None:
    assert "No history of the watermarks of lake.db.t." in invoke(NAME).stdout


def test_at_goes_with_no_other_limit(table: Lake) -> None:
    with pytest.raises(UsageError, match="Leave out --since"):
        invoke(NAME, "--at", "2026-09-21", "--writer", "w")


def test_markup_in_names_is_no_markup(table: Lake) -> None:
    table.advance(T0, T0, writer="[red]w[/red]")

    assert "[red]w[/red]" in invoke(NAME).stdout


def test_a_missing_database_is_warned_of(reached: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", "sqlite:////proc/none/a.db")

    result = invoke(NAME)

    assert "2026-09-21 15:06" in result.stdout
    assert "warning: could not ask the database, so this is only from the table's metadata" in result.stderr
    assert STEP_MS == 900_000


def test_a_new_run_of_a_writer_that_had_ended_is_on_record(table: Lake) -> None:
    table.advance(T0 + 5, T0 + 10, job_id="j")
    table.advance(FOREVER_MS, T0 + 20, job_id="j")
    run = WriterReport("w", None, "k", started_ms=T0 + 25)
    table.publish(lambda properties: apply_reports(properties, [run], now_ms=T0 + 30))

    assert brief(table.entries())[-2:] == [("reset", "w", 5), ("reset", None, 5)]
    assert table.completed_at(T0 + 5).reached_at_ms == T0 + 10
    assert table.completed_at(T0 + 6).reached is None
    table.forget()
    assert table.completed_at(T0 + 6).reached is None
