"""The lock on a real ZooKeeper: order, time-outs, what those who wait are told, clean-up."""

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.lock_holder import Holder
from autostream.coordination.lock_registry import KEPT_RECORDS, break_lock, broken_locks, held_lock, held_locks
from autostream.coordination.paths import LockKey, Paths
from autostream.coordination.queued_lock import QueuedLock
from autostream.errors import ConflictError, LockLostError, LockTimeoutError, UsageError
from autostream.times import Clock, clock_replaced
from tests.coordination.conftest import Connect
from tests.coordination.locking import KEY, expire, in_queue, lock, nodes, until

pytestmark = pytest.mark.integration
ME = Holder(user="alice", host="desk")


def test_one_after_the_other_in_the_order_in_which_they_came(connect: Connect) -> None:
    first, clients = connect(), [connect() for _ in range(5)]
    order: list[int] = []
    holding = lock(first)
    holding.acquire()
    tokens = [holding.token]
    waiters = [in_queue(first, lock(client)) for client in clients]

    holding.release()
    for number, waiter in enumerate(waiters):
        current = waiter.wait()
        assert [other.holds for other in waiters] == [n <= number for n in range(5)]
        current.verify()
        tokens.append(current.token)
        order.append(number)
        current.release()

    assert order == [0, 1, 2, 3, 4]
    assert tokens == sorted(set(tokens))


def test_one_session_may_hold_many_locks_and_threads_wait_for_each_other(connect: Connect) -> None:
    client = connect()
    inside: list[str] = []

    def work(name: str) -> None:
        with lock(client) as held:
            inside.append(name)
            held.verify()
            assert inside == [name]
            inside.remove(name)

    with lock(client, key=LockKey("lake", "db.other")), ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, str(n)) for n in range(24)]:
            done.result(timeout=60)


def test_who_waits_in_vain_learns_who_holds_the_lock_and_how_many_come_first(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, other = connect(), connect()
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "lake_compaction")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "scheduled__1")
    monkeypatch.setattr("socket.gethostname", lambda: "host-7")
    with lock(client, "compaction"):
        monkeypatch.undo()
        waiting = in_queue(client, lock(other))
        with pytest.raises(LockTimeoutError) as raised:
            lock(connect(), timeout_seconds=0.2).acquire()
        assert len(nodes(client)) == 2

    message = str(raised.value)
    assert raised.value.exit_code == 124
    parts = (
        "Table lake.db.orders was not free within 0.2 s",
        f"on host-7, process {os.getpid()} (compaction, since 20",
        "Airflow lake_compaction scheduled__1",
        "1 more waits before us",
        "autostream lock break lake.db.orders",
    )
    assert [part for part in parts if part not in message] == []
    waiting.wait().release()


def test_a_time_out_of_nothing_takes_only_what_is_free(connect: Connect) -> None:
    client = connect()
    says = pytest.raises(LockTimeoutError, match="this process: the lock is not re-entrant")
    with lock(client, timeout_seconds=0), says:
        lock(client, timeout_seconds=0).acquire()
    assert nodes(client) == []


def test_a_lock_object_is_held_once(connect: Connect) -> None:
    held = lock(connect())
    with held, pytest.raises(UsageError, match="not re-entrant"):
        held.acquire()
    with held:  # and may be used again afterwards
        held.verify()


def test_what_is_not_held_is_neither_verified_nor_has_it_a_token(connect: Connect) -> None:
    never = lock(connect())
    with pytest.raises(LockLostError, match="not held"):
        never.verify()
    with pytest.raises(LockLostError, match="not held"):
        _ = never.token
    never.release()
    with never:
        pass
    with pytest.raises(LockLostError, match="not held"):
        never.verify()


def test_an_error_of_the_block_goes_on_and_the_lock_is_free(connect: Connect) -> None:
    client = connect()
    with pytest.raises(ZeroDivisionError), lock(client):
        _ = 1 / 0
    assert nodes(client) == []


class LongAgo(Clock):
    def now_ms(self) -> int:
        return 1000


def test_who_waited_tells_since_when_it_holds_the_lock(connect: Connect) -> None:
    client = connect()
    holding = lock(client)
    holding.acquire()
    with clock_replaced(LongAgo()):
        waiting = in_queue(client, lock(connect()))

    holding.release()
    waiting.wait()

    until(lambda: held_lock(client, KEY).since_ms > 1000, what="the time since when it is held")  # type: ignore[union-attr]
    found = held_lock(client, KEY)
    assert found is not None
    assert found.holder.queued_ms == 1000
    waiting.lock.verify()


def test_nothing_is_left_of_a_table_without_locks(connect: Connect) -> None:
    clients = [connect() for _ in range(4)]

    def work(client: ZooKeeperClient) -> None:
        for _ in range(25):
            with lock(client, timeout_seconds=60) as held:
                held.verify()

    with ThreadPoolExecutor(8) as pool:  # two threads a session: they come and go while others clean up
        for done in [pool.submit(work, client) for client in clients * 2]:
            done.result(timeout=120)

    client = clients[0]
    assert client.children(Paths(client.root).locks_of_catalog("lake")) == []


def test_locks_are_listed_with_those_who_wait(connect: Connect) -> None:
    client, other = connect(), connect()
    odd = LockKey("lake", "db.größe/ä")
    with lock(client, "compaction"), lock(client, key=odd), lock(client, key=LockKey("archive", "db.t")):
        waiting = in_queue(client, lock(other, "commit"))

        found = {str(held.key): held for held in held_locks(client)}

        assert list(found) == ["archive.db.t", "lake.db.größe/ä", "lake.db.orders"]
        orders = found["lake.db.orders"]
        assert (orders.kind, orders.state, orders.holder.what) == ("zookeeper", "held", "compaction")
        assert [waiter.what for waiter in orders.waiting] == ["commit"]
        assert [str(held.key) for held in held_locks(client, "archive")] == ["archive.db.t"]
        assert list(held_locks(client, "nowhere")) == []
    waiting.wait().release()
    assert held_lock(client, KEY) is None


def test_a_broken_lock_passes_on_and_its_holder_learns_who_broke_it(connect: Connect) -> None:
    client, other, admin = connect(), connect(), connect()
    held = lock(client, "compaction")
    held.acquire()
    token = held.token
    waiting = in_queue(client, lock(other))
    found = held_lock(admin, KEY)
    assert found is not None

    record = break_lock(admin, found, by=ME, reason="it hung")

    successor = waiting.wait()
    successor.verify()
    assert successor.token > token
    for _ in range(2):
        with pytest.raises(LockLostError, match=r"it was broken by alice on desk at .*Z: it hung\. Nothing can be"):
            held.verify()
    assert held.lost is not None
    held.release()
    successor.verify()  # the broken one's release takes nothing from others
    assert broken_locks(admin, KEY) == [record]
    assert (record.holder.what, record.token) == ("compaction", token)
    with pytest.raises(ConflictError, match=r"no longer held\. Nothing was broken"):
        break_lock(admin, found, by=ME)
    assert broken_locks(admin, KEY) == [record]
    successor.release()


def test_a_lock_that_passed_on_meanwhile_is_not_broken(connect: Connect) -> None:
    client, other = connect(), connect()
    with lock(client):
        found = held_lock(client, KEY)
        waiting = in_queue(client, lock(other))
    assert found is not None

    with pytest.raises(ConflictError, match="no longer held"):
        break_lock(client, found, by=ME)

    waiting.wait().verify()
    assert broken_locks(client, KEY) == []
    waiting.lock.release()


def test_who_is_broken_while_it_waits_gives_up(connect: Connect) -> None:
    client, other = connect(), connect()
    with lock(client) as held:
        waiting = in_queue(client, lock(other))
        name = next(name for name in nodes(client) if name != held._held().place.node.name)  # type: ignore[union-attr]
        found = held_lock(client, KEY)
        assert found is not None
        break_lock(client, type(found)("zookeeper", KEY, name, ME, None), by=ME, reason="not you")

    with pytest.raises(LockLostError, match=r"broken by alice .*: not you"):
        waiting.wait()
    assert nodes(client) == []


def test_the_oldest_records_are_forgotten(connect: Connect) -> None:
    client = connect()
    for number in range(KEPT_RECORDS + 3):
        with lock(client):
            found = held_lock(client, KEY)
            assert found is not None
            break_lock(client, found, by=ME, reason=str(number))

    records = broken_locks(client, KEY)

    assert len(records) == KEPT_RECORDS
    assert records[0].reason == str(KEPT_RECORDS + 2)
    assert "0" not in {record.reason for record in records}


def test_a_node_removed_by_hand_is_a_lost_lock(connect: Connect) -> None:
    client = connect()
    with lock(client) as held:
        connect().delete(held._held().place.path)
        with pytest.raises(
            LockLostError, match=r"its node did not exist .*its session ended, or its node was removed by hand"
        ):
            held.verify()


def test_who_waits_and_loses_its_session_takes_a_new_place(connect: Connect) -> None:
    client, other, third = connect(), connect(), connect()
    holding = lock(client)
    holding.acquire()
    unlucky = in_queue(client, lock(other))
    behind = in_queue(client, lock(third))

    expire(other)
    until(lambda: len(nodes(client)) == 3, what="the new place")
    holding.release()

    behind.wait().verify()
    assert not unlucky.holds
    token = behind.lock.token
    behind.lock.release()
    unlucky.wait().verify()
    assert unlucky.lock.token > token
    unlucky.lock.release()


def test_an_interrupted_waiter_leaves_nothing_behind(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    with lock(client):
        waits = threading.Event.wait

        def interrupted(self: threading.Event, timeout: float | None = None) -> bool:
            if timeout and timeout > 4:
                raise KeyboardInterrupt
            return waits(self, timeout)

        other = connect()
        other.session()
        monkeypatch.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lock(other).acquire()
        monkeypatch.undo()
        assert len(nodes(client)) == 1


def test_a_closed_client_has_lost_its_locks(connect: Connect) -> None:
    client = connect()
    held = lock(client)
    held.acquire()
    client.close()

    assert held.lost is not None
    with pytest.raises(LockLostError, match="is lost"):
        held.verify()
    held.release()
    with lock(client) as again:  # the next use makes another connection
        again.verify()


def test_only_who_waits_is_woken(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """No herd: each hand-over tells the next one alone."""
    monkeypatch.setattr("autostream.coordination.queued_lock.QUIET_SECONDS", 600)  # nobody looks again by himself
    client = connect()
    holding = lock(client)
    holding.acquire()
    asked: list[QueuedLock] = []

    def counting(waiting: QueuedLock) -> QueuedLock:
        children = waiting._client.children

        def counted(path: str, **options: object) -> list[str]:
            asked.append(waiting)
            return children(path, **options)  # type: ignore[arg-type]

        waiting._client.children = counted  # type: ignore[method-assign]
        return waiting

    waiters = [in_queue(client, counting(lock(connect()))) for _ in range(4)]
    until(lambda: len(set(asked)) == 4, what="the first look of each at the queue")
    asked.clear()
    holding.release()
    waiters[0].wait()

    assert set(asked) == {waiters[0].lock}
    assert len(asked) <= 2
    for waiter in waiters:
        waiter.wait().release()


def test_who_waits_long_is_told_once_for_whom(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("autostream.coordination.queued_lock.QUIET_SECONDS", 0.01)
    caplog.set_level(logging.INFO, logger="autostream")
    with lock(connect(), "compaction"), pytest.raises(LockTimeoutError):
        lock(connect(), timeout_seconds=0.3).acquire()

    (told,) = (record.getMessage() for record in caplog.records if "waiting for" in record.getMessage())
    assert told.startswith("waiting for the lock on table lake.db.orders: it is locked by ")
    assert "(compaction, since" in told


def test_a_wait_that_is_longer_than_an_answer_may_take_ends_as_a_wait(connect: Connect) -> None:
    with lock(connect()), pytest.raises(LockTimeoutError, match=r"was not free within 1\.2 s"):
        lock(connect(connect_timeout_seconds=1), timeout_seconds=1.2).acquire()
