"""One of several processes is elected, on a real ZooKeeper."""

import logging
import shutil

import pytest

from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.election import Election
from autostream.coordination.lock_registry import held_elections, held_locks
from autostream.coordination.paths import ElectionKey, LockKey, Paths
from autostream.coordination.queued_lock import QueuedLock
from autostream.errors import ConflictError, LockLostError
from tests.coordination.conftest import Connect
from tests.coordination.locking import before, expire, hosts_of, lock, until
from tests.support.hadoop import zookeeper

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]


def candidate(client: ZooKeeperClient, name: str = "recorder") -> Election:
    return Election(client, name, try_seconds=0.3)


def elected(one: Election) -> None:
    until(one.leads, what="the election")
    one.verify()


def not_elected(one: Election) -> None:
    assert not one.leads()
    with pytest.raises(LockLostError, match=r"This process is not elected for recorder\. Nothing was changed"):
        one.verify()


def test_one_of_two_leads_and_the_other_one_takes_over_when_it_closes(connect: Connect) -> None:
    with candidate(connect()) as first:
        elected(first)
        with candidate(connect()) as second:
            not_elected(second)
            first.__exit__()
            not_elected(first)
            elected(second)
        not_elected(second)


def test_no_process_leads_before_the_election(connect: Connect) -> None:
    not_elected(candidate(connect()))


def test_the_other_one_takes_over_when_the_session_ends_and_the_first_one_stands_again(connect: Connect) -> None:
    client = connect()
    with candidate(client) as first:
        elected(first)
        with candidate(connect()) as second:
            expire(client)
            assert not first.leads()
            with pytest.raises(ConflictError):
                first.verify()
            elected(one_of(first, second))
            assert not (first.leads() and second.leads())
        elected(first)


def one_of(first: Election, second: Election) -> Election:
    until(lambda: first.leads() or second.leads(), what="the election")
    return first if first.leads() else second


def test_who_is_cut_off_leads_no_more_and_does_again_when_it_is_back(connect: Connect) -> None:
    direct = connect()
    with before(direct.settings.hosts) as proxy:
        client = connect(hosts=hosts_of(proxy))
        with candidate(client) as only:
            elected(only)
            proxy.down()
            until(lambda: not only.leads(), what="the loss")
            with pytest.raises(LockLostError):
                only.verify()
            proxy.up()
            elected(only)


def test_servers_that_know_less_than_the_client_get_a_new_session(connect: Connect) -> None:
    """As after the ensemble was created again, or restored: they refuse a client that has seen what they have not."""
    direct = connect()
    with before(direct.settings.hosts) as proxy:
        client = connect(hosts=hosts_of(proxy), session_timeout_seconds=1, connect_timeout_seconds=1)
        with candidate(client) as only:
            elected(only)
            first = client.session()
            first.kazoo.last_zxid = 1 << 60
            proxy.down()
            until(lambda: not only.leads(), what="the loss")
            proxy.up()
            elected(only)
            assert client.session() is not first
            assert not first.is_usable


@pytest.mark.exhaustive
def test_an_ensemble_that_was_created_again(connect: Connect) -> None:
    with zookeeper() as ensemble:
        client = connect(hosts=ensemble.hosts, session_timeout_seconds=1, connect_timeout_seconds=2)
        with candidate(client) as only, QueuedLock(client, LockKey("lake", "db.t"), what="commit") as lock:
            elected(only)
            for number in range(20):  # so that the old one has counted further than the new one will have
                client.ensure_path(f"/of-old/{number}")
            ensemble.kill()
            shutil.rmtree(ensemble.directory / "1" / "version-2")
            until(lambda: not only.leads(), what="the loss")
            ensemble.up()
            elected(only)
            with pytest.raises(LockLostError):
                lock.verify()
            with QueuedLock(client, LockKey("lake", "db.t"), what="commit", timeout_seconds=5) as again:
                again.verify()
            assert client.children("/of-old") == []


def test_whose_node_is_removed_leads_no_more(connect: Connect) -> None:
    client = connect()
    queue = Paths(client.root).queue(ElectionKey("recorder"))
    with candidate(client) as one:
        elected(one)
        (node,) = client.children(queue)
        client.delete(f"{queue}/{node}")
        with pytest.raises(LockLostError):
            one.verify()
        elected(one)


def test_elections_for_other_jobs_are_others(connect: Connect) -> None:
    client = connect()
    with candidate(client, "recorder") as one, candidate(client, "janitor") as other:
        elected(one)
        elected(other)


def test_who_is_elected_is_shown_apart_from_locks_on_tables(connect: Connect) -> None:
    client, waiting = connect(), connect()
    assert held_elections(client) == []
    with candidate(client) as one, lock(client, key=LockKey("election", "db.t")), candidate(waiting):
        elected(one)
        until(lambda: held_elections(client)[0].candidates, what="the other candidate")
        (found,) = held_elections(client)
        assert (found.name, found.elected.what, len(found.candidates)) == ("recorder", "recorder", 1)
        assert found.elected.is_this_process()
        assert [str(held.key) for held in held_locks(client)] == ["election.db.t"]


def test_that_another_one_is_elected_is_said_once(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "autostream.coordination.election")
    with candidate(connect()) as one:
        elected(one)
        caplog.clear()
        with candidate(connect()) as other:
            until(lambda: caplog.messages, what="the message")
            assert "Another process is elected for recorder" in caplog.messages[0]
            one.__exit__()
            elected(other)
    assert [text for text in caplog.messages if "Another process" in text] == caplog.messages[:1]
