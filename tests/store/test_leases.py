"""What one process at a time does."""

from collections.abc import Iterator

import pytest

from autostream.store.database import Database
from autostream.store.leases import forget_leases, leases, release_lease, take_lease
from tests.support.clocks import FakeClock


@pytest.fixture
def database(clock: FakeClock) -> Iterator[Database]:
    database = Database("sqlite://")
    yield database
    database.close()


def take(database: Database, holder: str, name: str = "sweep") -> bool:
    with database.write() as connection:
        return take_lease(connection, name, holder=holder, for_ms=10_000)


def test_a_lease_has_one_holder_until_it_runs_out(database: Database, clock: FakeClock) -> None:
    assert take(database, "ann")
    assert not take(database, "bob")
    clock.advance(9)
    assert take(database, "ann")  # renewed
    clock.advance(9.9)
    assert not take(database, "bob")
    clock.advance(0.1)
    assert take(database, "bob")
    assert not take(database, "ann")
    assert take(database, "ann", "another")


def test_a_lease_that_is_given_back_is_free_at_once(database: Database) -> None:
    take(database, "ann")
    with database.write() as connection:
        release_lease(connection, "sweep", holder="bob")
    assert not take(database, "bob")
    with database.write() as connection:
        release_lease(connection, "sweep", holder="ann")
    assert take(database, "bob")


def test_leases_are_listed_until_they_are_forgotten(database: Database, clock: FakeClock) -> None:
    for name in ("a%1", "a%2", "ab"):
        take(database, "ann", name)
    clock.advance(12)
    with database.write() as connection:
        assert [(lease.name, lease.left_ms) for lease in leases(connection, "a%")] == [("a%1", -2000), ("a%2", -2000)]
        forget_leases(connection, older_than_ms=2000)
        assert len(leases(connection, "a")) == 3
        forget_leases(connection, older_than_ms=1999)
        assert leases(connection, "") == []


@pytest.mark.integration
def test_the_clock_of_the_server_counts(postgres: str, clock: FakeClock) -> None:
    database = Database(postgres)
    database.upgrade()
    assert take(database, "ann")
    clock.advance(1_000_000)

    assert not take(database, "bob")
    with database.read() as connection:
        assert 0 < leases(connection, "sweep")[0].left_ms <= 10_000
    database.close()
