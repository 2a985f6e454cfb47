import random
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autostream.store.database import Database
from autostream.times import DAY_MS
from autostream.watermark.history.log import WatermarkLog
from autostream.watermark.history.log_entries import STEP_MS, KnownRecord, LogEntry, thinned

HOUR = 3_600_000
NOW = 1_800_000_000_000 - 1_800_000_000_000 % DAY_MS


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    url = "sqlite://" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(url)
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def table() -> str:
    return str(uuid.uuid4())


def at(table: str, watermark: int | None, recorded: int, kind: str = "advance", **more: object) -> LogEntry:
    return LogEntry("lake.db.t", table, more.pop("writer", None), kind, watermark, recorded, **more)  # type: ignore[arg-type]


def add(database: Database, *entries: LogEntry) -> None:
    with database.write() as connection:
        WatermarkLog(connection).add(entries)


def entries(database: Database, table: str, **limits: object) -> list[LogEntry]:
    with database.read() as connection:
        return WatermarkLog(connection).entries(table, **limits)  # type: ignore[arg-type]


def test_what_is_added_comes_back_oldest_first(database: Database, table: str) -> None:
    full = at(table, 7, 20, writer="w", job_id="j", checkpoint_id=3, snapshot_id=2**62, by="me", note="ü", kind="join")
    add(database, at(table, 9, 30), full, at(table, None, 10, "retire", writer="v", generation_ms=5))

    assert entries(database, table) == [
        at(table, None, 10, "retire", writer="v", generation_ms=5),
        full,
        at(table, 9, 30),
    ]


def test_the_table_follows_its_writers(database: Database, table: str) -> None:
    add(database, at(table, 9, 30), at(table, 9, 30, writer="w"))

    assert [entry.writer for entry in entries(database, table)] == ["w", None]
    assert [entry.writer for entry in entries(database, table, newest=1)] == [None]


def test_the_same_fact_is_there_once_with_its_earlier_time(database: Database, table: str) -> None:
    add(database, at(table, 9, 30), at(table, 9, 20))
    add(database, at(table, 9, 25))
    add(database, at(table, 9, 10), at(table, 9, 40))

    assert entries(database, table) == [at(table, 9, 10)]


@pytest.mark.parametrize(
    "other",
    [
        {"watermark": 10},
        {"writer": "w"},
        {"generation_ms": 5},
        {"kind": "retire"},
    ],
)
def test_other_facts_are_kept_apart(database: Database, table: str, other: dict[str, object]) -> None:
    add(database, at(table, 9, 30), at(table, **{"watermark": 9, "recorded": 30, **other}))  # type: ignore[arg-type]

    assert len(entries(database, table)) == 2


def test_a_writer_may_join_twice_and_a_table_be_set_back_twice(database: Database, table: str) -> None:
    for kind in ("join", "reset"):
        add(database, at(table, 9, 30, kind), at(table, 9, 40, kind), at(table, 9, 40, kind))

    assert [(entry.kind, entry.recorded_at_ms) for entry in entries(database, table)] == [
        ("join", 30),
        ("reset", 30),
        ("join", 40),
        ("reset", 40),
    ]


def test_entries_of_a_time_and_a_writer(database: Database, table: str) -> None:
    add(database, *(at(table, n, n, writer=writer) for n in range(10) for writer in (None, "w", "v")))
    add(database, at(str(uuid.uuid4()), 5, 5))

    assert [e.recorded_at_ms for e in entries(database, table, since_ms=3, until_ms=6, writer="w")] == [3, 4, 5]
    assert [(e.writer, e.recorded_at_ms) for e in entries(database, table, until_ms=6, newest=2)] == [
        ("w", 5),
        (None, 5),
    ]


def test_many_are_added_at_once(database: Database, table: str) -> None:
    add(database, *(at(table, n // 2, n) for n in range(3000)))

    assert [e.recorded_at_ms for e in entries(database, table)] == list(range(0, 3000, 2))


def test_the_first_that_reaches(database: Database, table: str) -> None:
    add(
        database,
        at(table, 50, 100),
        at(table, 90, 150, writer="w"),
        at(table, 70, 200),
        at(table, 20, 300, "reset", generation_ms=300),
        at(table, 60, 400, generation_ms=300),
    )
    with database.read() as connection:
        log = WatermarkLog(connection)
        assert log.first_reaching(table, 50) == at(table, 50, 100)
        assert log.first_reaching(table, 51) == at(table, 70, 200)
        assert log.first_reaching(table, 51, generation_ms=300) == at(table, 60, 400, generation_ms=300)
        assert log.first_reaching(table, 61, generation_ms=300) is None
        assert log.first_reaching(table, 71) is None
        assert [entry.recorded_at_ms for entry in log.resets(table)] == [300]
        assert log.last_before(table, 200) == at(table, 50, 100)
        assert log.last_before(table, 100) is None
        assert sorted(log.known(table), key=lambda known: known.recorded_at_ms) == [
            KnownRecord("advance", None, 50, 100, 0),
            KnownRecord("advance", "w", 90, 150, 0),
            KnownRecord("advance", None, 70, 200, 0),
            KnownRecord("reset", None, 20, 300, 300),
            KnownRecord("advance", None, 60, 400, 300),
        ]


def test_files_are_remembered_while_the_table_lists_them(database: Database, table: str) -> None:
    with database.write() as connection:
        log = WatermarkLog(connection)
        log.mark_read(table, ["a", "b"], listed=["a", "b", "c"])
        log.mark_read(table, ["b", "c"], listed=["b", "c", "d"])
        assert log.files_read(table) == {"b", "c"}
        assert log.files_read(str(uuid.uuid4())) == set()


def thin(database: Database, table: str, **how: int) -> int:
    with database.write() as connection:
        return WatermarkLog(connection).thin(**{"now_ms": NOW, "keep_days": 90, **how}, table_uuid=table)  # type: ignore[arg-type]


def test_old_records_are_deleted_and_of_the_others_the_first_of_each_step_stays(database: Database, table: str) -> None:
    old = NOW - 91 * DAY_MS
    thinned_time = NOW - 3 * DAY_MS
    add(
        database,
        at(table, 1, old),
        at(table, None, old, "reset"),
        *(at(table, thinned_time + n * 60_000, thinned_time + n * 60_000 + 5) for n in range(60)),
        *(at(table, thinned_time + n * 60_000, thinned_time + n * 60_000 + 5, writer="w") for n in range(30)),
        at(table, thinned_time, thinned_time + 60_001, "retire", writer="w"),
        *(at(table, NOW - n * 60_000, NOW - n * 60_000) for n in range(60)),
    )

    deleted = thin(database, table)

    left = entries(database, table)
    assert deleted == 2 + 56 + 28
    assert [e.recorded_at_ms - thinned_time for e in left if e.recorded_at_ms < NOW - DAY_MS and not e.writer] == [
        n * STEP_MS + 5 for n in range(4)
    ]
    assert [e.kind for e in left if e.writer == "w"] == ["advance", "retire", "advance"]
    assert len([e for e in left if e.recorded_at_ms > NOW - DAY_MS]) == 60
    assert thin(database, table) == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_thinning_changes_no_answer_at_a_quarter_of_an_hour(database: Database, seed: int) -> None:
    chance, table = random.Random(seed), str(uuid.uuid4())
    start = NOW - 5 * DAY_MS
    watermark, recorded, written = start, start, []
    for _ in range(60):
        watermark += chance.randrange(1, 20 * 60_000)
        recorded += chance.randrange(1, 20 * 60_000)
        written.append(at(table, watermark, recorded))
    add(database, *written)

    def answers() -> list[LogEntry | None]:
        with database.read() as connection:
            log = WatermarkLog(connection)
            return [log.first_reaching(table, start + n * STEP_MS) for n in range(40)]

    before = answers()
    thin(database, table)

    assert answers() == before
    assert entries(database, table) == thinned(written, now_ms=NOW, keep_days=90)
    assert len(entries(database, table)) < len(written)


def test_thinned_leaves_what_is_not_old_and_no_advance() -> None:
    table = str(uuid.uuid4())
    kept = [
        at(table, 1, NOW - 3 * DAY_MS),
        at(table, 1, NOW - 3 * DAY_MS + 1, "retire"),
        at(table, 3, NOW - 3 * DAY_MS + 2, writer="w"),
        at(table, 3, NOW - 3 * DAY_MS + 3, generation_ms=9),
        at(table, 4, NOW),
        at(table, 5, NOW),
    ]

    gone = [at(table, 2, NOW - 3 * DAY_MS + 1), at(table, 0, NOW - 91 * DAY_MS)]
    assert thinned([*gone, *kept], now_ms=NOW, keep_days=90) == kept


def test_thinning_is_done_once_an_hour(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    done: list[int] = []
    monkeypatch.setattr(WatermarkLog, "thin", lambda self, *, now_ms, keep_days: done.append(now_ms))

    for now in (NOW, NOW + 1, NOW + HOUR - 1, NOW + HOUR, NOW + HOUR + 1):
        with database.write() as connection:
            WatermarkLog(connection).thin_when_due(now_ms=now, keep_days=90)

    assert done == [NOW, NOW + HOUR]


def test_an_entry_without_its_time_is_another_one() -> None:
    one = at("t", 1, 2, "join")

    assert one.fact != replace(one, recorded_at_ms=3).fact
