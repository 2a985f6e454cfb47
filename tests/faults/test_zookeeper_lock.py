"""What goes wrong between a lock's holder and ZooKeeper: never two holders, never a table that stays locked."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autostream.coordination.client import ZooKeeperClient
from autostream.errors import LockLostError, LockTimeoutError, ServiceError
from tests.coordination.conftest import Connect
from tests.coordination.locking import KEY, Waiter, before, expire, hosts_of, in_queue, interrupt, lock, nodes, until
from tests.faults.lock_holder import LockHolder
from tests.support import hadoop
from tests.support.faultproxy import Fault, FaultProxy
from tests.support.hadoop import ZooKeeper

pytestmark = pytest.mark.integration

StartHolder = Callable[[], LockHolder]


@pytest.fixture
def holder(zookeeper: ZooKeeper, root: str) -> Iterator[StartHolder]:
    """Starts processes that lock."""
    with ExitStack() as stack:

        def start() -> LockHolder:
            started = LockHolder(zookeeper.hosts, root)
            stack.callback(started.end)
            return started

        yield start


@pytest.fixture
def proxy(zookeeper: ZooKeeper) -> Iterator[FaultProxy]:
    with before(zookeeper.hosts) as between:
        yield between


def token_of(answer: str) -> int:
    word, _, token = answer.partition(" ")
    assert word == "ok", answer
    return int(token)


def test_a_killed_holder_passes_the_lock_on(holder: StartHolder, connect: Connect) -> None:
    first = holder()
    token = token_of(first.ask("acquire"))
    waiting = in_queue(connect(), lock(connect()))

    first.process.send_signal(signal.SIGKILL)

    waiting.wait().verify()
    assert waiting.lock.token > token
    waiting.lock.release()


def test_a_killed_waiter_does_not_block_others(holder: StartHolder, connect: Connect) -> None:
    client = connect()
    held = lock(client)
    held.acquire()
    killed = holder()
    killed.tell("acquire")
    until(lambda: len(nodes(client)) == 2, what="the waiter")
    behind = in_queue(client, lock(connect()))

    killed.process.send_signal(signal.SIGKILL)
    held.release()

    behind.wait().verify()
    behind.lock.release()
    until(lambda: nodes(client) == [])


def test_a_holder_that_slept_past_its_session_finds_the_lock_lost(holder: StartHolder, connect: Connect) -> None:
    sleeper = holder()
    token = token_of(sleeper.ask("acquire"))
    assert token_of(sleeper.ask("verify")) == token
    waiting = in_queue(connect(), lock(connect()))

    sleeper.process.send_signal(signal.SIGSTOP)
    successor = waiting.wait()
    sleeper.process.send_signal(signal.SIGCONT)
    answer = sleeper.ask("verify")

    assert answer.startswith("LockLostError The lock on table lake.db.orders, held for commit since 20")
    assert "is lost: the ZooKeeper session was suspended at 20" in answer
    assert sleeper.ask("verify") == answer
    assert sleeper.ask("release") == "ok"
    successor.verify()
    assert successor.token > token
    successor.release()
    assert token_of(sleeper.ask("acquire")) > token  # and the process is as good as any other afterwards


def test_a_connection_that_was_away_for_a_moment_is_a_lost_lock(proxy: FaultProxy, connect: Connect) -> None:
    client, observer = connect(hosts=hosts_of(proxy)), connect()
    held = lock(client)
    held.acquire()
    session_id = client.session().session_id
    waiting = in_queue(observer, lock(connect()))

    interrupt(proxy)
    until(lambda: client.session().interruptions == 1)

    assert client.children("/") != []  # back again
    assert client.session().session_id == session_id
    assert len(nodes(observer)) == 2  # ZooKeeper knows nothing of all that
    assert "suspended" in (held.lost or "")
    for _ in range(2):
        with pytest.raises(LockLostError, match=r"the ZooKeeper session was suspended at 20\S+Z\. Nothing can be"):
            held.verify()
    assert not waiting.holds
    held.release()
    waiting.wait().verify()
    waiting.lock.release()


def test_an_expired_session_is_a_lost_lock(connect: Connect) -> None:
    client, other = connect(), connect()
    held = lock(client)
    held.acquire()
    expire(client)
    with lock(other) as successor:
        with pytest.raises(LockLostError, match="the ZooKeeper session was suspended"):
            held.verify()
        held.release()
        successor.verify()


def test_the_connection_breaks_while_the_lock_is_verified(proxy: FaultProxy, connect: Connect) -> None:
    held = lock(connect(hosts=hosts_of(proxy)))
    held.acquire()
    lost = proxy.cut_answer(held._held().place.path.encode())

    with pytest.raises(LockLostError, match="is lost: "):
        held.verify()

    assert lost.hits == 1
    with pytest.raises(LockLostError, match="suspended"):
        held.verify()
    held.release()


@pytest.mark.parametrize("lose", [FaultProxy.cut_answer, FaultProxy.cut_request])
def test_a_lost_create_makes_one_place_and_not_two(
    proxy: FaultProxy, connect: Connect, lose: Callable[[FaultProxy, bytes], Fault]
) -> None:
    client, observer = connect(hosts=hosts_of(proxy)), connect()
    with lock(client, key=type(KEY)("lake", "db.other")):  # the catalog's node is there
        pass
    lost = lose(proxy, b"/lock-")

    with lock(client) as held:
        assert lost.hits == 1
        assert len(nodes(observer)) == 1
        held.verify()
    assert nodes(observer) == []


@pytest.mark.parametrize("lose", [FaultProxy.cut_answer, FaultProxy.cut_request])
def test_a_lost_delete_leaves_nothing_behind(
    proxy: FaultProxy, connect: Connect, lose: Callable[[FaultProxy, bytes], Fault]
) -> None:
    client, observer = connect(hosts=hosts_of(proxy)), connect()
    held = lock(client)
    held.acquire()
    session_id = client.session().session_id
    lost = lose(proxy, held._held().place.path.encode())

    held.release()

    until(lambda: nodes(observer) == [], what="the clean-up")
    assert lost.hits == 1
    assert client.session().session_id == session_id, "it was not the end of the session that removed it"


def test_who_gives_up_while_cut_off_does_not_block_the_queue(proxy: FaultProxy, connect: Connect) -> None:
    """kazoo's own lock would leave the node of the waiter there as long as its process lives."""
    observer = connect()
    unlucky = connect(hosts=hosts_of(proxy), connect_timeout_seconds=1)
    held = lock(observer)
    held.acquire()
    waiting = in_queue(observer, lock(unlucky, timeout_seconds=3))
    behind = in_queue(observer, lock(connect()))
    proxy.down()

    with pytest.raises((ServiceError, LockTimeoutError)):
        waiting.wait()
    assert len(nodes(observer)) == 3
    proxy.up()

    until(lambda: len(nodes(observer)) == 2, what="the clean-up")
    held.release()
    behind.wait().verify()
    behind.lock.release()


def test_a_release_that_does_not_get_through_is_done_later(proxy: FaultProxy, connect: Connect) -> None:
    observer = connect()
    client = connect(hosts=hosts_of(proxy), connect_timeout_seconds=1)
    held = lock(client)
    held.acquire()
    proxy.down()
    held.release()
    assert len(nodes(observer)) == 1
    proxy.up()

    with lock(observer) as successor:
        successor.verify()
        assert client.current_session() is not None  # its session lives on: it was not that which freed the table


def test_servers_that_do_not_answer(connect: Connect) -> None:
    """A create that nobody answers may be carried out later: its node must not stay."""
    with hadoop.zookeeper() as own:
        observer = connect(hosts=own.hosts)
        client = connect(hosts=own.hosts, connect_timeout_seconds=0.5)
        held = lock(client, key=type(KEY)("lake", "db.other"))
        held.acquire()
        observer.session()
        own.pause()
        try:
            with pytest.raises(ServiceError, match="ZooKeeper at"):
                lock(client, timeout_seconds=0.5).acquire()
            with pytest.raises(LockLostError, match="it is not known whether it is still held"):
                held.verify(timeout_seconds=0.2)
        finally:
            own.resume()
        until(lambda: nodes(observer) == [], what="the clean-up")
        with pytest.raises(
            LockLostError, match="it is not known whether it is still held"
        ):  # for good, whatever is known by now
            held.verify()
        held.release()
        with lock(observer) as successor:
            successor.verify()


def connected_to(client: ZooKeeperClient) -> int:
    return int(client.session().kazoo._connection._socket.getpeername()[1])


def test_an_ensemble_of_three_survives_one(connect: Connect) -> None:
    with hadoop.zookeeper(nodes=3) as own:
        ports = [int(host.rpartition(":")[2]) for host in own.hosts.split(",")]
        clients = [connect(hosts=f"127.0.0.1:{port}") for port in ports]  # each knows one server only
        everywhere = connect(hosts=own.hosts)
        tokens = []
        for client in clients:  # whatever server is asked, tokens grow and the queue is one
            with lock(client) as held:
                held.verify()
                tokens.append(held.token)
        assert tokens == sorted(set(tokens))

        victim = ports.index(connected_to(everywhere))
        held = lock(everywhere)
        held.acquire()
        waiting = in_queue(clients[(victim + 1) % 3], lock(clients[(victim + 1) % 3]))
        own.kill(victim + 1)

        with pytest.raises(LockLostError):
            held.verify()
        held.release()  # over another server
        waiting.wait().verify()
        assert waiting.lock.token > tokens[-1]

        other = (victim + 2) % 3
        own.kill(other + 1)  # no majority is left
        with pytest.raises(LockLostError):
            waiting.lock.verify()
        own.up(other + 1)
        own.up(victim + 1)
        waiting.lock.release()
        with lock(everywhere, timeout_seconds=30) as successor:
            successor.verify()


class Model:
    """Sessions that lock one table, against a list of who came when."""

    def __init__(self, connect: Connect, sessions: int) -> None:
        self.observer = connect()
        self.clients = [connect() for _ in range(sessions)]
        self.queue: list[tuple[int, Waiter]] = []
        self.lost: list[Waiter] = []
        self.highest = 0
        self.checked: Waiter | None = None

    def enter(self, number: int) -> None:
        waiter = in_queue(self.observer, lock(self.clients[number]))
        self.queue.append((number, waiter))

    def leave(self, _: int) -> None:
        if self.queue:
            self.queue.pop(0)[1].wait().release()

    def expire(self, number: int) -> None:
        """The holder's locks of this session are lost; waiters of it go to the end, in whatever order."""
        mine = [entry for entry in self.queue if entry[0] == number]
        if not mine:
            return
        held = self.queue[0] if self.queue[0] in mine else None
        expected = len(self.queue) - bool(held)
        expire(self.clients[number])
        if held:
            self.lost.append(held[1])
        self.queue = [entry for entry in self.queue if entry not in mine]
        until(lambda: len(nodes(self.observer)) == expected, what="new places")
        rest = {id(entry[1]): entry for entry in mine if entry is not held}
        if len(rest) > 1 or (rest and not self.queue):
            self._sort_out(rest)
        else:
            self.queue += rest.values()

    def _sort_out(self, rest: dict[int, tuple[int, Waiter]]) -> None:
        """Those that lost their places all come again at once: the first one that holds tells the order."""
        self.queue += rest.values()
        while rest:
            first = self.queue[: len(self.queue) - len(rest)]
            for _, waiter in first:
                waiter.wait().release()
            self.queue = list(rest.values())
            until(lambda: any(waiter.holds for _, waiter in self.queue), what="a holder")
            done = next(entry for entry in self.queue if entry[1].holds)
            self.check_holder(done[1])
            done[1].lock.release()
            del rest[id(done[1])]
            self.queue.remove(done)

    def check_holder(self, waiter: Waiter) -> None:
        if waiter is not self.checked:
            assert waiter.lock.token > self.highest
            self.highest, self.checked = waiter.lock.token, waiter
        waiter.lock.verify()

    def check(self) -> None:
        if self.queue:
            self.queue[0][1].wait()
            self.check_holder(self.queue[0][1])
            assert [waiter.holds for _, waiter in self.queue] == [True] + [False] * (len(self.queue) - 1)
        for waiter in self.lost:
            with pytest.raises(LockLostError):
                waiter.lock.verify()

    def end(self) -> None:
        for waiter in self.lost:
            waiter.lock.release()
        for _, waiter in self.queue:
            waiter.wait().release()
        until(lambda: nodes(self.observer) == [])


STEPS = st.lists(st.tuples(st.sampled_from(["enter", "enter", "leave", "expire"]), st.integers(0, 2)), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_at_most_one_holder_is_ever_approved(connect: Connect, steps: list[tuple[str, int]]) -> None:
    model = Model(connect, 3)
    for action, number in steps:
        getattr(model, action)(number)
        model.check()
    model.end()
    assert threading.active_count() < 500
