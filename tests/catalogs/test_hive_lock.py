"""Hive's lock at a real metastore: heartbeats, loss, waiting, and what is said."""

import threading
from collections.abc import Iterator

import pytest

from autostream.catalogs.hive_lock import (
    HiveLock,
    HiveLockEntry,
    HiveLockPolicy,
    release_hive_lock,
    show_hive_locks,
)
from autostream.errors import LockLostError, LockTimeoutError, ServiceError
from autostream.hadoop.metastore import Metastore, MetastoreSettings
from tests.coordination.locking import until
from tests.support.faultproxy import FaultProxy, thrift_call
from tests.support.hadoop import HiveMetastore

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]

QUICK = HiveLockPolicy(timeout_ms=20_000, check_min_wait_ms=10, check_max_wait_ms=50, heartbeat_interval_ms=10)


@pytest.fixture
def metastore(hive_metastore: HiveMetastore) -> Metastore:
    return Metastore(MetastoreSettings.from_properties({"uri": hive_metastore.uri}))


@pytest.fixture
def proxied(hive_metastore: HiveMetastore) -> Iterator[tuple[FaultProxy, Metastore]]:
    with FaultProxy("localhost", hive_metastore.port) as proxy:
        settings = {"uri": f"thrift://127.0.0.1:{proxy.port}", "hive.client-timeout-seconds": "5"}
        yield proxy, Metastore(MetastoreSettings.from_properties(settings))


def entries(metastore: Metastore, table: str) -> list[HiveLockEntry]:
    return show_hive_locks(metastore, "locks", table)


def test_it_beats_while_it_is_held_and_is_gone_afterwards(metastore: Metastore) -> None:
    with HiveLock(metastore, "locks", "beats", QUICK, user="svc") as held:
        (first,) = entries(metastore, "beats")
        assert (first.user, first.state, first.agent) == ("svc", "ACQUIRED", held.agent)
        until(
            lambda: (entries(metastore, "beats")[0].heartbeat_ms or 0) > (first.heartbeat_ms or 0), what="a heartbeat"
        )
        held.verify()
    assert entries(metastore, "beats") == []


def test_a_lock_that_another_one_released_is_lost_for_good(metastore: Metastore) -> None:
    lost = pytest.raises(LockLostError, match=r"Hive lock \d+ of locks\.taken was lost before the commit")
    with HiveLock(metastore, "locks", "taken", QUICK) as held:
        (entry,) = entries(metastore, "taken")
        assert release_hive_lock(metastore, entry.lock_id)
        until(lambda: held._lost, what="the heartbeat that finds it gone")
        with lost:
            held.verify()


def test_without_heartbeats_it_is_found_out_by_asking(metastore: Metastore) -> None:
    slow = HiveLockPolicy(heartbeat_interval_ms=10**9)
    with HiveLock(metastore, "locks", "silent", slow) as held:
        release_hive_lock(metastore, entries(metastore, "silent")[0].lock_id)
        with pytest.raises(LockLostError):
            held.verify()


def test_a_heartbeat_that_gets_lost_is_followed_by_the_next(proxied: tuple[FaultProxy, Metastore]) -> None:
    proxy, metastore = proxied
    with HiveLock(metastore, "locks", "flaky", QUICK) as held:
        fault = proxy.cut_answer(thrift_call("heartbeat"), times=2)
        beats = proxy.watch(thrift_call("heartbeat"))
        until(lambda: fault.hits == 2 and beats.seen > 3, what="a heartbeat after two lost ones")
        held.verify()


def test_a_metastore_that_does_not_answer_counts_as_lost(proxied: tuple[FaultProxy, Metastore]) -> None:
    proxy, metastore = proxied
    with HiveLock(metastore, "locks", "down", HiveLockPolicy(check_min_wait_ms=1)) as held:
        proxy.down()
        with pytest.raises(LockLostError, match="No metastore answered"):
            held.verify()
        proxy.up()


def test_who_waits_is_told_for_whom_and_leaves_nothing_behind(metastore: Metastore) -> None:
    impatient = HiveLockPolicy(timeout_ms=100, check_min_wait_ms=10)
    busy = pytest.raises(LockTimeoutError, match=r"locks\.busy was locked for 0\.1 s: held by lock \d+ of svc on ")
    with HiveLock(metastore, "locks", "busy", QUICK, user="svc"):
        with busy:
            HiveLock(metastore, "locks", "busy", impatient).__enter__()
        assert len(entries(metastore, "busy")) == 1


def test_a_place_in_the_queue_that_expired_is_taken_again(metastore: Metastore) -> None:
    got: list[str] = []

    def wait() -> None:
        with HiveLock(metastore, "locks", "queue", QUICK, user="waiter"):
            got.append("held")

    with HiveLock(metastore, "locks", "queue", QUICK):
        waiter = threading.Thread(target=wait)
        waiter.start()
        until(lambda: len(entries(metastore, "queue")) == 2, what="the waiter")
        (place,) = [e for e in entries(metastore, "queue") if e.user == "waiter"]
        release_hive_lock(metastore, place.lock_id)
        until(lambda: {e.lock_id for e in entries(metastore, "queue") if e.user == "waiter"} - {place.lock_id})
    waiter.join()
    assert got == ["held"]
    assert entries(metastore, "queue") == []


def test_a_request_that_fails_by_itself_is_made_again(proxied: tuple[FaultProxy, Metastore]) -> None:
    proxy, metastore = proxied
    fault = proxy.cut_request(thrift_call("lock"), times=3)
    with HiveLock(metastore, "locks", "again", QUICK) as held:
        assert fault.hits == 3
        held.verify()
    assert entries(metastore, "again") == []


def test_a_metastore_that_fails_each_request_is_asked_until_the_time_is_up(
    proxied: tuple[FaultProxy, Metastore],
) -> None:
    proxy, metastore = proxied
    proxy.cut_request(thrift_call("lock"), times=10**6)
    impatient = HiveLockPolicy(timeout_ms=100, check_min_wait_ms=10)
    with pytest.raises(
        ServiceError, match=r"The metastore did not lock locks\.never: .*Nothing was changed. Try again"
    ):
        HiveLock(metastore, "locks", "never", impatient).__enter__()
    assert entries(metastore, "never") == []


def test_a_metastore_that_lists_no_locks(metastore: Metastore) -> None:
    nobody = Metastore(MetastoreSettings(uris=("thrift://localhost:1",)))
    with pytest.raises(ServiceError, match="No metastore answered"):
        show_hive_locks(nobody)
    with pytest.raises(ServiceError, match="No metastore answered"):
        HiveLock(nobody, "locks", "t", HiveLockPolicy(check_min_wait_ms=1)).__enter__()
