"""What goes into the outbox, and who may take it out."""

import logging
import threading

import pytest

from autostream.config import NotifySettings
from autostream.notices import Notice
from autostream.notify.outbox import Claim, Fate, Outbox, OutboxMessage, put
from autostream.store.chores import take_chore
from autostream.store.database import Database
from tests.notify.notices import NOW_MS, released, settings, target

HOUR_MS = 3_600_000
POSTGRES = pytest.param("postgresql", marks=pytest.mark.integration)
BOTH = pytest.mark.parametrize("database", ["sqlite", POSTGRES], indirect=True)


def put_into(database: Database, *notices: Notice, into: NotifySettings | None = None, now_ms: int = NOW_MS) -> int:
    with database.write() as connection:
        return put(connection, notices, into or settings(), now_ms=now_ms)


def messages(database: Database) -> list[OutboxMessage]:
    with database.read() as connection:
        return Outbox(connection).newest(limit=100)


@BOTH
def test_each_target_that_gets_a_notice_has_a_message(database: Database) -> None:
    into = settings(target("all"), target("ads", teams=("ads",)), target("trade", teams=("trade",)))

    assert put_into(database, released(team="trade"), released("lake.db.clicks"), into=into) == 3
    found = {(message.target, message.notice["subject"]) for message in messages(database)}
    assert found == {
        ("all", "table lake.db.orders"),
        ("trade", "table lake.db.orders"),
        ("all", "table lake.db.clicks"),
    }
    assert {message.state for message in messages(database)} == {Fate.WAITING}


@BOTH
def test_repetitions_are_counted_and_not_sent_until_the_time_is_over(database: Database) -> None:
    into = settings(repeat_after_seconds=3600)
    times_ms = (NOW_MS, NOW_MS, NOW_MS + HOUR_MS - 1, NOW_MS + HOUR_MS, NOW_MS + HOUR_MS + 1)

    assert [put_into(database, released(), into=into, now_ms=at) for at in times_ms] == [1, 0, 0, 1, 0]
    assert [message.repeats for message in messages(database)] == [1, 2]


def test_a_clock_that_was_ahead_silences_no_notice(database: Database) -> None:
    assert [put_into(database, released(), now_ms=at) for at in (NOW_MS + 10**10, NOW_MS)] == [1, 1]


def test_every_notice_counts_where_nothing_is_a_repetition(database: Database) -> None:
    assert [put_into(database, released(), into=settings(repeat_after_seconds=0)) for _ in range(3)] == [1, 1, 1]
    notices = [released(dedupe_key=f"release {number}") for number in range(3)]
    assert put_into(database, *notices, *notices) == 3


def test_a_notice_is_part_of_the_transaction_that_it_tells_of(database: Database) -> None:
    def put_and_fail() -> None:
        with database.write() as connection:
            assert put(connection, [released()], settings(), now_ms=NOW_MS) == 1
            raise KeyError

    with pytest.raises(KeyError):
        put_and_fail()
    assert messages(database) == []


@BOTH
def test_an_outbox_that_fails_does_not_fail_the_transaction(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE autostream_outbox_message")
    with database.write() as connection:
        assert take_chore(connection, "work", now_ms=NOW_MS, every_ms=1)
        assert put(connection, [released()], settings(), now_ms=NOW_MS) == 0
    with database.write() as connection:
        assert not take_chore(connection, "work", now_ms=NOW_MS, every_ms=1)
    assert "Nobody is told of table lake.db.orders: the outbox failed" in caplog.text
    assert caplog.records[-1].levelno == logging.WARNING


def test_secrets_do_not_get_into_the_database(database: Database) -> None:
    reason = "GET http://ops:hunter2xyz@jm:8081/jobs?token=abcdef123456 failed"
    put_into(database, released(fields={"table": "t", "holder": "h", "reason": reason}))

    with database.read() as connection:
        stored = connection.exec_driver_sql("SELECT notice FROM autostream_outbox_message").scalar_one()
    assert "hunter2xyz" not in stored
    assert "abcdef123456" not in stored
    assert "jm:8081" in stored


def subject_due(outbox: Outbox, now_ms: int, *but: str) -> tuple[str, str] | None:
    message = outbox.next_due(now_ms, but=but)
    return message and (message.target, message.notice["subject"])


@BOTH
def test_the_oldest_due_message_is_next(database: Database) -> None:
    into = settings(target("a"), target("b"))
    put_into(database, released("lake.db.a"), into=into)
    put_into(database, released("lake.db.b"), into=settings(target("a")), now_ms=NOW_MS - 5)

    with database.write() as connection:
        outbox = Outbox(connection)
        assert subject_due(outbox, NOW_MS) == ("a", "table lake.db.b")
        assert subject_due(outbox, NOW_MS, "a") == ("b", "table lake.db.a")
        assert subject_due(outbox, NOW_MS - 1) == ("a", "table lake.db.b")
        assert subject_due(outbox, NOW_MS - 6) is None


def claim(outbox: Outbox, now_ms: int, *, until_ms: int) -> Claim:
    message = outbox.next_due(now_ms)
    assert message
    return outbox.claim(message, until_ms=until_ms)


@BOTH
def test_a_claim_keeps_others_away_until_it_ends(database: Database) -> None:
    put_into(database, released())
    with database.write() as connection:
        outbox = Outbox(connection)
        first = claim(outbox, NOW_MS, until_ms=NOW_MS + 1000)
        assert outbox.next_due(NOW_MS + 999) is None
        second = claim(outbox, NOW_MS + 1000, until_ms=NOW_MS + 2000)
        assert second.message.tries == 2

        assert not outbox.settle(first, Fate.GIVEN_UP, now_ms=NOW_MS + 1500)
        assert outbox.settle(second, Fate.SENT, now_ms=NOW_MS + 1500)
        assert not outbox.settle(second, Fate.WAITING, now_ms=NOW_MS + 1500)
    (message,) = messages(database)
    assert (message.state, message.settled_ms) == (Fate.SENT, NOW_MS + 1500)


@BOTH
def test_old_messages_are_forgotten_once_a_day(database: Database) -> None:
    day_ms = 24 * HOUR_MS
    put_into(database, released("lake.db.a"))
    put_into(database, released("lake.db.b"), now_ms=NOW_MS + 2 * day_ms)

    left = []
    for at_ms in (NOW_MS + 3 * day_ms, NOW_MS + 3 * day_ms + 1, NOW_MS + 4 * day_ms):
        with database.write() as connection:
            Outbox(connection).forget_when_due(now_ms=at_ms, keep_days=3)
        left.append(len(messages(database)))
    assert left == [2, 2, 1]
    # Of what is forgotten, nothing is a repetition.
    assert put_into(database, released("lake.db.a"), into=settings(repeat_after_seconds=10**7), now_ms=at_ms) == 1


@pytest.mark.parametrize("database", [POSTGRES], indirect=True)
def test_of_several_processes_that_put_the_same_one_does(database: Database) -> None:
    notices = [released(f"lake.db.t{number}") for number in range(20)]
    put_messages: list[int] = []

    def put_all(order: int) -> None:
        put_messages.append(put_into(database, *notices[::order]))

    threads = [threading.Thread(target=put_all, args=(order,)) for order in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    assert sum(put_messages) == 20
