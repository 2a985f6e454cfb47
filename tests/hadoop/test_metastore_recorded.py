"""The metastore client against what real metastores of four versions said, with answers lost.

See tests/support/recordings.py for how they are recorded again.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hive_metastore.ttypes import (
    AlreadyExistsException,
    Database,
    EnvironmentContext,
    FieldSchema,
    MetaException,
    NoSuchObjectException,
    SerDeInfo,
    StorageDescriptor,
    Table,
)

from autostream.hadoop.metastore import MODIFIED, Metastore, MetastoreSettings
from autostream.hadoop.thrift_answers import MetastoreAnswerLostError
from tests.support.recorded_metastore import RecordedMetastore, recorded_metastore
from tests.support.recordings import RECORDING, name_of

VERSIONS = {
    "2.3.9": "oldest_hive_metastore",
    "3.1.3": "older_hive_metastore",
    "4.0.0": "hive_metastore",
    "4.0.1": "newer_hive_metastore",
}
COMPARING = {"4.0.0", "4.0.1"}
ALTER = "alter_table_with_environment_context"

Serving = Callable[[], RecordedMetastore]


@pytest.fixture(params=list(VERSIONS))
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(version: str, request: pytest.FixtureRequest) -> Iterator[RecordedMetastore]:
    """The metastore that was recorded for this test, with an empty database `recorded`."""
    real = request.getfixturevalue(VERSIONS[version]) if RECORDING else None
    with ExitStack() as stack:
        if real:
            with asking(f"thrift://localhost:{real.port}").session() as client:
                if "recorded" in client.get_all_databases():
                    client.drop_database("recorded", True, True)
                client.create_database(Database(name="recorded", locationUri="file:/tmp/recorded", parameters={}))
        yield stack.enter_context(recorded_metastore(name_of(request), real_port=real.port if real else None))


def asking(*uris: str, user: str | None = None) -> Metastore:
    return Metastore(MetastoreSettings(uris, user=user, timeout_seconds=60, connect_timeout_seconds=60))


def table(pointer: str, *, name: str = "t") -> Table:
    columns = [FieldSchema("id", "bigint", "")]
    descriptor = StorageDescriptor(
        cols=columns,
        location=f"file:/tmp/recorded/{name}",
        inputFormat="org.apache.hadoop.mapred.FileInputFormat",
        outputFormat="org.apache.hadoop.mapred.FileOutputFormat",
        serdeInfo=SerDeInfo(serializationLib="org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", parameters={}),
        parameters={},
    )
    return Table(
        dbName="recorded",
        tableName=name,
        owner="svc",
        createTime=1_795_000_000,
        lastAccessTime=0,
        retention=0,
        sd=descriptor,
        partitionKeys=[],
        parameters={"EXTERNAL": "TRUE", "table_type": "ICEBERG", "metadata_location": pointer},
        tableType="EXTERNAL_TABLE",
    )


def expecting(pointer: str) -> EnvironmentContext:
    return EnvironmentContext({"expected_parameter_key": "metadata_location", "expected_parameter_value": pointer})


def pointer_of(client: Any) -> str:
    return str(client.get_table("recorded", "t").parameters["metadata_location"])


def test_a_table_is_made_found_changed_and_dropped(server: RecordedMetastore, version: str) -> None:
    with asking(server.uri, user="svc").session() as client:
        assert client.get_database("recorded").name == "recorded"
        client.create_table(table("m0"))
        with pytest.raises(AlreadyExistsException):
            client.create_table(table("m0"))
        assert pointer_of(client) == "m0"
        assert [found.tableName for found in client.get_table_objects_by_name("recorded", ["t", "none"])] == ["t"]
        client.alter_table_with_environment_context("recorded", "t", table("m1"), EnvironmentContext())
        assert pointer_of(client) == "m1"
        client.drop_table("recorded", "t", False)
        with pytest.raises(NoSuchObjectException):
            client.get_table("recorded", "t")
        with pytest.raises(NoSuchObjectException):
            client.get_database("none")
    # What the server no longer has is tried once.
    old_and_new = [name for name in server.asked if name in ("get_table", "get_table_req")]
    if version == "4.0.1":
        assert old_and_new == ["get_table", "get_table_req", "get_table_req", "get_table_req"]
    else:
        assert old_and_new == ["get_table"] * 3


def test_what_a_server_can_do_is_found_out_once(server: RecordedMetastore, version: str) -> None:
    metastore = asking(server.uri)
    for _ in range(2):
        with metastore.session() as client:
            client.get_all_databases()
            if server.asked.count("create_table") == 0:
                client.create_table(table("m0"))
            assert client.compares_and_swaps(table("m0")) is (version in COMPARING)
            assert client.has_catalogs() is (version != "2.3.9")
            assert pointer_of(client) == "m0"
    assert server.asked.count(ALTER) == 1
    assert server.asked.count("get_catalogs") == 1


def test_a_pointer_that_is_not_there_is_not_swapped(server: RecordedMetastore, version: str) -> None:
    with asking(server.uri).session() as client:
        client.create_table(table("m0"))
        if version in COMPARING:
            with pytest.raises(MetaException, match=MODIFIED):
                client.alter_table_with_environment_context("recorded", "t", table("m2"), expecting("m1"))
        else:  # older ones do not look
            client.alter_table_with_environment_context("recorded", "t", table("m2"), expecting("m1"))
        assert pointer_of(client) == ("m0" if version in COMPARING else "m2")
        client.alter_table_with_environment_context("recorded", "t", table("m3"), expecting(pointer_of(client)))
        assert pointer_of(client) == "m3"


def test_a_lost_answer_to_a_question_is_asked_for_again(server: RecordedMetastore, version: str) -> None:
    with asking(server.uri, server.uri.replace("127.0.0.1", "localhost")).session() as client:
        client.create_table(table("m0"))
        server.loses = ["get_table_req" if version == "4.0.1" else "get_table"]
        assert pointer_of(client) == "m0"


def test_a_lost_answer_to_a_change_leaves_it_in_doubt(server: RecordedMetastore) -> None:
    metastore = asking(server.uri)
    with metastore.session() as client:
        client.create_table(table("m0"))
    server.loses = [ALTER]
    with pytest.raises(MetastoreAnswerLostError, match="It is not known whether it did the operation"):
        change(metastore, table("m1"))
    with metastore.session() as client:
        assert pointer_of(client) == "m1"


def change(metastore: Metastore, to: Table) -> None:
    with metastore.session() as client:
        client.alter_table_with_environment_context("recorded", "t", to, expecting("m0"))
