import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from autostream.errors import ConflictError, ServiceError
from autostream.store.database import Database
from autostream.store.journal import Journal, JournalEntry, NewEntry

HIRE = NewEntry(kind="hired", by="ann", why="more orders", body={"team": "交易", "cpu_cores": 0.5, "before": None})
PROCESSES = 4
EACH = 6


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/a.db")


def append(
    database: Database, stream: str, *entries: NewEntry, expected_version: int | None = None
) -> list[JournalEntry]:
    with database.write() as connection:
        return Journal(connection).append(stream, entries, now_ms=1, expected_version=expected_version)


def read(database: Database, stream: str, **options: Any) -> list[JournalEntry]:
    with database.read() as connection:
        return Journal(connection).read(stream, **options)


def test_entries_are_read_as_they_were_appended(database: Database) -> None:
    appended = append(database, "teams", HIRE, NewEntry(kind="left", by="bob"), expected_version=0)

    assert read(database, "teams") == appended
    assert appended[0] == JournalEntry(
        stream="teams", version=1, at_ms=1, kind="hired", by="ann", why="more orders", body=HIRE.body
    )
    assert [entry.version for entry in append(database, "teams", HIRE)] == [3]
    assert read(database, "another") == []


def test_a_decision_upon_a_version_that_is_past_is_refused(database: Database) -> None:
    append(database, "teams", HIRE, HIRE)

    with pytest.raises(ConflictError, match=r"'teams' of the journal is at version 2, not 1.*Read the entries after"):
        append(database, "teams", HIRE, expected_version=1)

    assert len(read(database, "teams")) == 2


def test_pages(database: Database) -> None:
    append(database, "teams", *[HIRE] * 5)

    with database.read() as connection:
        journal = Journal(connection)
        assert [entry.version for entry in journal.read("teams", after=1, limit=2)] == [2, 3]
        assert [entry.version for entry in journal.newest("teams", limit=2)] == [5, 4]
        assert [entry.version for entry in journal.newest("teams", before=4, limit=9)] == [3, 2, 1]
        assert (journal.version("teams"), journal.version("another")) == (5, 0)


@pytest.mark.parametrize(
    "entry",
    [
        NewEntry(kind="x", by="ann", body={"ratio": float("nan")}),
        NewEntry(kind="x", by="a\0nn"),
        NewEntry(kind="x", by="ann", why="half a \ud83d"),
        NewEntry(kind="", by="ann"),
        NewEntry(kind="x" * 65, by="ann"),
    ],
)
def test_what_one_of_the_databases_cannot_store_is_refused(database: Database, entry: NewEntry) -> None:
    with pytest.raises(ValueError):
        append(database, "teams", HIRE, entry)

    assert read(database, "teams") == []


@pytest.mark.parametrize("name", ["", "x" * 401])
def test_a_stream_has_a_name_that_can_be_stored(database: Database, name: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid name of a stream .* must have 1 to 400"):
        append(database, name, HIRE)


CHANGES = ["UPDATE autostream_journal SET why = 'another'", "DELETE FROM autostream_journal"]


def refuses_changes(database: Database, *statements: str) -> None:
    append(database, "teams", HIRE)
    for statement in statements:
        with pytest.raises(ServiceError, match="only appended to"), database.write() as connection:
            connection.execute(text(statement))
    assert [entry.why for entry in read(database, "teams")] == [HIRE.why]


def test_the_database_refuses_to_change_entries(database: Database) -> None:
    refuses_changes(database, *CHANGES)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.integers(0, 3),
        st.one_of(st.none(), st.integers(-2, 2)),
        st.booleans(),
        st.dictionaries(
            st.text(max_size=3),
            st.one_of(st.text(max_size=5), st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
        ),
    ),
    max_size=8,
)


def agrees_with_a_list(database: Database, steps: list[tuple[str, int, int | None, bool, dict[str, Any]]]) -> None:
    model: dict[str, list[NewEntry]] = {"a": [], "b": []}
    with database.read() as connection:
        start = {stream: Journal(connection).version(stream) for stream in model}
    for stream, count, behind, fails, body in steps:
        before = start[stream] + len(model[stream])
        entries = [NewEntry(kind="step", by="test", why=str(number), body=body) for number in range(count)]
        expected = None if behind is None else before + behind
        try:
            with database.write() as connection:
                Journal(connection).append(stream, entries, now_ms=7, expected_version=expected)
                if fails:
                    raise KeyError
        except ConflictError:
            assert behind
        except KeyError:
            assert not behind
        else:
            model[stream] += entries
    for stream, entries in model.items():
        found = read(database, stream, after=start[stream])
        assert [entry.version for entry in found] == [start[stream] + n for n in range(1, len(entries) + 1)]
        assert [(e.kind, e.by, e.why, e.body) for e in found] == [(e.kind, e.by, e.why, e.body) for e in entries]


SAME_DATABASE = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)


@SAME_DATABASE
@given(STEPS)
def test_it_agrees_with_a_list(database: Database, steps: Any) -> None:
    agrees_with_a_list(database, steps)


# Each adds 1 to what the newest entry says, and decides again where another one was first. So the newest entry says how
# many there are, and no number is there twice, exactly if none decided upon a version that was past.
COUNT = """
    import sys
    from autostream.errors import ConflictError
    from autostream.store.database import Database
    from autostream.store.journal import Journal, NewEntry

    database, name, times = Database(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    database.prepare()
    print(flush=True)
    sys.stdin.readline()  # all at once
    conflicts = 0
    for _ in range(times):
        while True:
            with database.read() as connection:
                last = Journal(connection).newest("count", limit=1)
            version, total = (last[0].version, last[0].body["total"]) if last else (0, 0)
            try:
                with database.write() as connection:
                    journal = Journal(connection)
                    journal.append("count", [NewEntry(kind="add", by=name, body={"total": total + 1})], now_ms=0,
                                   expected_version=version)
                    journal.append("log", [NewEntry(kind="added", by=name)], now_ms=0)
                break
            except ConflictError:
                conflicts += 1
    print(conflicts)
"""


def count_at_once(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    database.upgrade()
    code = textwrap.dedent(COUNT)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, url, f"process {number}", str(EACH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for process in started:
        assert process.stdout
        process.stdout.readline()
    with ThreadPoolExecutor(PROCESSES) as pool:
        ends = list(pool.map(lambda process: process.communicate("\n"), started))
    assert [error for _, error in ends if error] == []
    entries = read(database, "count")
    assert [entry.body["total"] for entry in entries] == list(range(1, PROCESSES * EACH + 1))
    assert [entry.version for entry in entries] == list(range(1, PROCESSES * EACH + 1))
    # What was appended in the same transaction without expecting a version is all there, and never in conflict.
    assert sorted(entry.by for entry in read(database, "log")) == sorted(entry.by for entry in entries)


def test_processes_that_append_at_once_decide_upon_what_is_there(database: Database) -> None:
    count_at_once(database)


@pytest.mark.integration
def test_all_of_it_on_postgresql(postgres: str) -> None:
    database = Database(postgres)
    count_at_once(database)
    refuses_changes(database, *CHANGES, "TRUNCATE autostream_journal")
    given(STEPS)(SAME_DATABASE(lambda steps: agrees_with_a_list(database, steps)))()
    database.close()
