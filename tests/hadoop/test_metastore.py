"""Several metastores: whichever does not answer, in whatever way and at whatever moment, the next one is asked."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from hive_metastore.ttypes import EnvironmentContext, MetaException, NoSuchObjectException, Table

from autostream.errors import ServiceError
from autostream.hadoop.metastore import Metastore, MetastoreSettings
from autostream.hadoop.thrift_answers import MetastoreAnswerLostError
from tests.support.away import WAYS, away, metastore
from tests.support.away import Metastore as Server

TABLE = Table(dbName="db", tableName="t")
WORDS = {
    "refuses": "Connection refused",
    "hangs": "no answer in time",
    "closes": "closed the connection",
    "resets": "Connection reset",
    "speaks HTTP": "answers with HTTP: this is the port of a web server",
    "speaks TLS": "speaks TLS",
}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def asking(*ports: int, **more: object) -> Metastore:
    uris = tuple(f"thrift://127.0.0.1:{port}" for port in ports)
    settings = MetastoreSettings(uris, timeout_seconds=1, connect_timeout_seconds=1)
    return Metastore(replace(settings, **more))  # type: ignore[arg-type]


def serving(stack: ExitStack) -> tuple[Server, int]:
    server, port = stack.enter_context(metastore())
    server.tables["t"] = TABLE
    return server, port


@pytest.mark.parametrize("user", [None, "svc"])
@pytest.mark.parametrize("way", WAYS)
def test_the_next_one_is_asked_and_remembered(way: str, user: str | None, stack: ExitStack) -> None:
    server, port = serving(stack)
    first = stack.enter_context(away(way))
    for _ in range(2):  # another client of this process knows, too
        with asking(first, port, user=user).session() as client:
            assert client.get_table("db", "t") == TABLE
    assert server.asked.count("get_table") == 2
    assert asking(first, port).in_turn()[0] == f"thrift://127.0.0.1:{port}"


@pytest.mark.parametrize("way", WAYS)
def test_the_only_one_that_is_away_is_a_service_that_is_away(way: str, stack: ExitStack) -> None:
    port = stack.enter_context(away(way))
    with (
        pytest.raises(ServiceError, match=WORDS[way]) as raised,
        asking(port).session() as client,
    ):
        client.get_table("db", "t")
    assert f"thrift://127.0.0.1:{port}" in str(raised.value)
    assert raised.value.passes_by_itself


def test_the_next_one_is_asked_in_the_middle_of_a_call(stack: ExitStack) -> None:
    (breaking, first), (server, second) = serving(stack), serving(stack)
    breaking.breaks = {"get_table"}
    with asking(first, second).session() as client:
        assert client.get_table("db", "t") == TABLE
        client.get_all_databases()
    assert breaking.asked == ["getStatus", "get_table"]
    assert server.asked == ["getStatus", "get_table", "get_all_databases"]


def test_a_change_is_sent_once_and_the_next_question_goes_to_another(stack: ExitStack) -> None:
    (breaking, first), (server, second) = serving(stack), serving(stack)
    change = "alter_table_with_environment_context"
    breaking.breaks = {change}
    asked = asking(first, second)
    with (
        pytest.raises(MetastoreAnswerLostError, match="It is not known whether it did the operation"),
        asked.session() as c,
    ):
        c.alter_table_with_environment_context("db", "t", TABLE, EnvironmentContext())
    assert change not in server.asked
    with asked.session() as client:
        client.get_table("db", "t")
    assert server.asked == ["getStatus", "get_table"]


def test_all_that_were_asked_are_named(stack: ExitStack) -> None:
    ports = [stack.enter_context(away(way)) for way in WAYS]
    with pytest.raises(ServiceError) as raised, asking(*ports).session() as client:
        client.get_table("db", "t")
    for port, way in zip(ports, WAYS, strict=True):
        assert f":{port}: " in str(raised.value)
        assert WORDS[way] in str(raised.value)


def test_what_a_server_says_is_not_asked_of_another(stack: ExitStack) -> None:
    (_, first), (server, second) = serving(stack), serving(stack)
    with pytest.raises(NoSuchObjectException), asking(first, second).session() as client:
        client.get_table("db", "none")
    assert server.asked == []


@pytest.mark.parametrize("way", ["hangs", "closes", "speaks HTTP", "speaks TLS"])
def test_a_port_without_kerberos_is_told_as_such(way: str, stack: ExitStack) -> None:
    from autostream.hadoop.sasl import SaslTransport

    port = stack.enter_context(away(way))
    asked = asking(port)
    with pytest.raises(ServiceError, match=WORDS[way]):
        asked._first_that_answers(
            None, lambda socket: SaslTransport(socket, host="", service="", mechanism="ANONYMOUS"), {}
        )


def test_an_error_that_is_declared_stays(stack: ExitStack) -> None:
    server, port = serving(stack)
    server.get_database = _fails  # type: ignore[method-assign]
    with pytest.raises(MetaException, match="JDO"), asking(port).session() as client:
        client.get_database("db")


def _fails(*_: object) -> None:
    raise MetaException("JDO")
