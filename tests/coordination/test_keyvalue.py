"""Values with versions, of a real ZooKeeper: no change is lost, none is made twice, whatever becomes of requests."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.keyvalue import LARGEST_VALUE_BYTES, KeyValueSpace, VersionedValue
from autostream.coordination.paths import Paths
from autostream.errors import ConfigurationError, ConflictError, OutcomeUnknownError, ServiceError
from tests.coordination.conftest import Connect
from tests.coordination.locking import before, expire, hosts_of, until
from tests.support.faultproxy import FaultProxy
from tests.support.hadoop import ZooKeeper

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]

KEY = "prod/orders ⅓.x"


@pytest.fixture
def space(connect: Connect) -> KeyValueSpace:
    return KeyValueSpace(connect(), "rescale")


def test_a_value_has_a_version_that_a_change_names(space: KeyValueSpace) -> None:
    assert space.get(KEY) is None
    assert space.put(KEY, {"parallelism": 2}, expected_version=0) == 1
    assert space.put(KEY, None, expected_version=1) == 2
    assert space.get(KEY) == VersionedValue(None, 2)
    for wrong in (0, 1, 3):
        with pytest.raises(ConflictError, match=r"of rescale in ZooKeeper .*Nothing was changed"):
            space.put(KEY, "x", expected_version=wrong)
        with pytest.raises(ConflictError):
            space.delete(KEY, expected_version=wrong)
    assert space.get(KEY) == VersionedValue(None, 2)


def test_no_version_comes_twice(space: KeyValueSpace) -> None:
    first = space.put(KEY, "first", expected_version=0)
    space.delete(KEY, expected_version=first)

    assert space.get(KEY) is None
    assert space.list() == {}
    with pytest.raises(ConflictError):  # of what was deleted, too
        space.put(KEY, "x", expected_version=first)
    assert space.put(KEY, "second", expected_version=0) > first
    with pytest.raises(ConflictError):  # it was read before it was deleted and made again
        space.put(KEY, "x", expected_version=first)


def test_keys_are_listed_each_space_for_itself(connect: Connect) -> None:
    client = connect()
    space, other = KeyValueSpace(client, "rescale"), KeyValueSpace(client, "budget")
    for key in ("b", "a/../c", KEY, "."):
        space.put(key, key, expected_version=0)
    space.delete("b", expected_version=1)

    assert space.list() == {key: VersionedValue(key, 1) for key in (".", "a/../c", KEY)}
    assert other.list() == {}


def test_what_cannot_be_stored_is_refused(space: KeyValueSpace) -> None:
    with pytest.raises(ValueError, match="the most is 900000"):
        space.put(KEY, "x" * LARGEST_VALUE_BYTES, expected_version=0)
    with pytest.raises(ValueError, match="JSON"):
        space.put(KEY, float("inf"), expected_version=0)


def test_what_others_wrote_there_is_told_as_such(connect: Connect) -> None:
    client = connect()
    path = Paths(client.root).value("rescale", KEY)
    client.ask("creating", lambda kazoo: kazoo.create_async(path, b"what?", makepath=True))

    with pytest.raises(ConfigurationError, match=r"%E2%85%93\.x has content that autostream did not write"):
        KeyValueSpace(client, "rescale").get(KEY)


def test_of_those_that_change_it_at_once_none_is_lost(connect: Connect) -> None:
    spaces = [KeyValueSpace(connect(), "count") for _ in range(3)]

    def count(space: KeyValueSpace) -> int:
        conflicts = 0
        for _ in range(10):
            while True:
                found = space.get("total") or VersionedValue(0, 0)
                try:
                    space.put("total", found.value + 1, expected_version=found.version)
                    break
                except ConflictError:
                    conflicts += 1
        return conflicts

    with ThreadPoolExecutor(len(spaces)) as pool:
        conflicts = sum(pool.map(count, spaces))

    assert spaces[0].get("total") == VersionedValue(30, 30)
    assert conflicts


# ------------------------------------------------------------------------------------------------ lost requests


class Cut:
    """A space whose talk with the server a test disturbs, and another one that is not disturbed."""

    def __init__(self, proxy: FaultProxy, connect: Connect) -> None:
        self.proxy = proxy
        self.client: ZooKeeperClient = connect(hosts=hosts_of(proxy), connect_timeout_seconds=5)
        self.space = KeyValueSpace(self.client, "rescale")
        self.other = KeyValueSpace(connect(), "rescale")
        self.client.check()


@pytest.fixture
def cut(zookeeper: ZooKeeper, connect: Connect):  # type: ignore[no-untyped-def]
    with before(zookeeper.hosts) as proxy:
        yield Cut(proxy, connect)


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("fault", ["cut_request", "cut_answer"])
def test_a_lost_request_or_answer_leads_to_one_change(cut: Cut, fault: str, known: int) -> None:
    if known:
        cut.other.put(KEY, "first", expected_version=0)
    else:
        cut.other.put("another", "makes the parents", expected_version=0)
    lost = getattr(cut.proxy, fault)(b"our own")

    assert cut.space.put(KEY, "our own", expected_version=known) == known + 1

    assert lost.hits == 1
    assert cut.other.get(KEY) == VersionedValue("our own", known + 1)


@pytest.mark.parametrize("fault", ["cut_request", "cut_answer"])
def test_a_lost_deletion_happens_once(cut: Cut, fault: str) -> None:
    cut.other.put(KEY, "first", expected_version=0)
    getattr(cut.proxy, fault)(b'"deleted"')

    cut.space.delete(KEY, expected_version=1)

    assert cut.other.get(KEY) is None
    assert cut.other.put(KEY, "second", expected_version=0) == 3


def test_who_was_overtaken_while_its_request_was_lost_is_in_conflict(cut: Cut) -> None:
    cut.other.put(KEY, "first", expected_version=0)
    cut.proxy.cut_request(b"our own", then=lambda: cut.other.put(KEY, "theirs", expected_version=1))

    with pytest.raises(ConflictError):
        cut.space.put(KEY, "our own", expected_version=1)

    assert cut.other.get(KEY) == VersionedValue("theirs", 2)


@pytest.mark.parametrize("arrived", [True, False])
def test_what_others_have_written_over_is_not_known(cut: Cut, arrived: bool) -> None:
    """Both look the same afterwards, so neither is claimed."""
    cut.other.put(KEY, "first", expected_version=0)

    def write_over() -> None:
        until(lambda: not arrived or cut.other.get(KEY) == VersionedValue("our own", 2))
        for version in (1, 2) if not arrived else (2,):
            cut.other.put(KEY, "theirs", expected_version=version)

    (cut.proxy.cut_answer if arrived else cut.proxy.cut_request)(b"our own", then=write_over)

    with pytest.raises(OutcomeUnknownError, match="changed in the meantime"):
        cut.space.put(KEY, "our own", expected_version=1)

    assert cut.other.get(KEY) == VersionedValue("theirs", 3)


def test_without_an_answer_in_time_the_outcome_is_not_known(connect: Connect, zookeeper: ZooKeeper) -> None:
    with before(zookeeper.hosts) as proxy:
        space = KeyValueSpace(connect(hosts=hosts_of(proxy), connect_timeout_seconds=1), "rescale")
        space.put(KEY, "first", expected_version=0)
        proxy.cut_answer(b"our own", then=proxy.down)

        with pytest.raises(OutcomeUnknownError, match=r"is not known .*ZooKeeper at"):
            space.put(KEY, "our own", expected_version=1)
        with pytest.raises(ServiceError, match="Could not reach"):  # and what was never sent, was not done
            space.put(KEY, "another", expected_version=2)

    assert KeyValueSpace(connect(), "rescale").get(KEY) == VersionedValue("our own", 2)


def test_the_end_of_a_session_takes_no_value_along(connect: Connect) -> None:
    client = connect()
    space = KeyValueSpace(client, "rescale")
    space.put(KEY, "first", expected_version=0)

    expire(client)

    assert space.put(KEY, "second", expected_version=1) == 2
    client.close()
    assert KeyValueSpace(connect(), "rescale").get(KEY) == VersionedValue("second", 2)
