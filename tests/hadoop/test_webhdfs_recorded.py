"""The WebHDFS client against what a real HDFS said, with answers lost, cut off or given by something in between.

See tests/support/recordings.py for how it is recorded again.
"""

import io
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import requests

from autostream.errors import AutostreamError, ConfigurationError, OutcomeUnknownError, ServiceError
from autostream.hadoop.answers import ExistingFileError, MissingFileError, NoSpaceError, RefusedError
from autostream.hadoop.fileio import WebHdfsFileIO
from autostream.hadoop.reader import RangeReader
from autostream.hadoop.settings import WebHdfsSettings
from autostream.hadoop.tails import TAILS
from autostream.hadoop.transport import AnswerLostError
from autostream.hadoop.webhdfs import WebHdfs
from autostream.hadoop.writer import BUFFER_BYTES, StagedWriter
from autostream.sizes import KIB
from tests.support.clocks import FakeClock
from tests.support.gateway import httpfs
from tests.support.recorded_hdfs import Answer, RecordedHdfs, recorded_hdfs
from tests.support.recordings import RECORDING, name_of

HTML = Answer(502, {"Content-Type": "text/html"}, b"<title>Bad gateway</title>")
TEXT = bytes(range(32, 127))


def refusal(exception: str, message: str) -> Answer:
    """What HDFS answers by an exception."""
    return Answer(403, {}, json.dumps({"RemoteException": {"exception": exception, "message": message}}).encode())


Serving = Callable[..., RecordedHdfs]


@pytest.fixture
def serving(request: pytest.FixtureRequest) -> Iterator[Serving]:
    """Runs the servers that were recorded for this test; where it is recorded, /data is emptied first."""
    with ExitStack() as stack:

        def serve(*, namenodes: int = 1, gateway: bool = False) -> RecordedHdfs:
            real = None
            if RECORDING:
                from tests.support import hadoop

                real = stack.enter_context(hadoop.hdfs(namenodes=2)) if namenodes == 2 else hdfs_of(request)
                for path in ("/data", "/data?op=MKDIRS&permission=777"):
                    ask(real.webhdfs_url, path, "DELETE" if "?" not in path else "PUT")
                if gateway:
                    real = replace(real, webhdfs_urls=(stack.enter_context(httpfs(real.webhdfs_url)),))
            return stack.enter_context(recorded_hdfs(name_of(request), namenodes=namenodes, real=real))

        TAILS.forget()
        yield serve
        TAILS.forget()


@pytest.fixture(autouse=True)
def _pauses_take_no_time(clock: FakeClock) -> None:
    """How long they would be, the clock tells."""


def hdfs_of(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("hdfs")


def ask(url: str, path: str, method: str) -> None:
    """Ask the real HDFS something as its superuser."""
    query = "&" if "?" in path else "?op=DELETE&recursive=true&"
    requests.request(method, f"{url}/webhdfs/v1{path}{query}user.name=hdfs", timeout=120).raise_for_status()


class Client(WebHdfs):
    """The client of alice's files, by the account svc."""

    def __init__(self, hdfs: RecordedHdfs, *, user: str = "svc", proxy: str | None = "alice", retries: int = 2) -> None:
        settings = WebHdfsSettings(hdfs.urls, user=user, proxy_user=proxy, retries=retries)
        super().__init__(settings)


def write(client: WebHdfs, path: str, data: bytes, *, overwrite: bool = False) -> None:
    with StagedWriter(client, path, overwrite=overwrite) as stream:
        stream.write(data)


def fail_with(stream: StagedWriter) -> None:
    with stream:
        stream.write(TEXT)
        _ = 1 / 0


def reader(client: WebHdfs, path: str) -> RangeReader:
    status = client.status(path)
    return RangeReader(client, path, status.size_bytes, modified_at_ms=status.modified_at_ms)


def names(client: WebHdfs, path: str = "/data") -> list[str]:
    return sorted(status.path.removeprefix(f"{path}/") for status in client.walk(path))


# ------------------------------------------------------------------------------------------ files
def test_files_are_written_read_listed_renamed_and_deleted(serving: Serving) -> None:
    hdfs = serving()
    files = WebHdfsFileIO(
        {"webhdfs.urls": ",".join(hdfs.urls), "webhdfs.user": "svc", "autostream.proxy-user": "alice"}
    )
    files = pickle.loads(pickle.dumps(files))
    client = files.client("hdfs://lake/")
    for name in ("b", "a b%/é", "empty"):
        with files.new_output(f"hdfs://lake/data/{name}").create() as stream:
            stream.write(TEXT if name != "empty" else b"")
    assert [location for location, _ in files.walk("hdfs://lake/data")] == [
        "hdfs://lake/data/b",
        "hdfs://lake/data/empty",
        "hdfs://lake/data/a b%/é",
    ]
    with files.new_input("hdfs://lake/data/a b%/é").open() as source:
        assert source.read() == TEXT
    with files.new_input("/data/empty").open() as source:
        assert source.read() == b""
    status = client.status("/data/b")
    assert (status.size_bytes, status.is_directory, status.owner, status.permission) == (95, False, "alice", "644")
    assert len(files.new_output("hdfs://lake/data/b")) == len(files.new_input("hdfs://lake/data/b")) == 95
    with pytest.raises(FileExistsError, match="already exists in HDFS"):
        files.new_output("hdfs://lake/data/b").create()
    files.rename("hdfs://lake/data/b", "hdfs://lake/data/c")
    with pytest.raises(FileExistsError, match="already exists"):
        files.rename("hdfs://lake/data/empty", "hdfs://lake/data/c")
    files.rename("hdfs://lake/data/empty", "hdfs://lake/data/c", overwrite=True)
    with pytest.raises(FileNotFoundError, match="rename source"):
        files.rename("hdfs://lake/data/empty", "hdfs://lake/data/d")
    files.delete(files.new_input("hdfs://lake/data/c"))
    with pytest.raises(FileNotFoundError, match="Cannot delete"):
        files.delete("hdfs://lake/data/c")
    assert not files.new_output("hdfs://lake/data/c").exists()
    with pytest.raises(MissingFileError, match="is a directory in HDFS"):
        files.new_input("hdfs://lake/data/a b%").open()


def test_directories_permissions_and_owners(serving: Serving) -> None:
    hdfs = serving()
    client = Client(hdfs)
    client.make_directory("/data/made/below", permission="750")
    assert client.status("/data/made/below").permission == "750"
    client.set_permission("/data/made", "700")
    assert [entry.permission for entry in client.list_directory("/data")] == ["700"]
    with pytest.raises(RefusedError, match="non-super user cannot change owner"):
        client.set_owner("/data/made", owner="bob")
    with pytest.raises(ServiceError, match="is non empty"):
        client.delete("/data/made")
    with pytest.raises(RefusedError, match=r"denied access to bob .*Permission denied: user=bob, access=READ"):
        list(Client(hdfs, user="bob", proxy=None).list_directory("/data/made"))
    assert client.delete("/data/made", recursive=True) is True
    assert client.delete("/data/made", recursive=True) is False
    with pytest.raises(FileNotFoundError):
        names(client, "/data/made")


@pytest.mark.parametrize(("service", "proxy"), [("mallory", "alice"), ("svcg", "bob")])
def test_an_account_may_not_act_for_another(serving: Serving, service: str, proxy: str) -> None:
    client = Client(serving(), user=service, proxy=proxy)
    with pytest.raises(RefusedError, match=f"does not allow {service} to act as {proxy}"):
        client.status("/data")
    with pytest.raises(RefusedError, match=f"hadoop.proxyuser.{service}.groups a group of {proxy}"):
        client.put("/data/x", b"1")


def test_a_quota_is_used_up(serving: Serving) -> None:
    hdfs = serving()
    client = Client(hdfs)
    client.make_directory("/data/small")
    if hdfs.real:
        ask(hdfs.real.webhdfs_url, "/data/small?op=SETQUOTA&namespacequota=2&storagespacequota=1000000&", "PUT")
    with pytest.raises(NoSpaceError, match=r"quota is used up .*DiskSpace quota of /data/small"):
        write(client, "/data/small/x", TEXT)
    assert names(client, "/data/small") == []


def test_a_standby_is_passed_over_and_the_active_one_remembered(serving: Serving, clock: FakeClock) -> None:
    hdfs = serving(namenodes=2)
    client = Client(hdfs)
    client.put("/data/x", TEXT)
    assert client.active_url == hdfs.urls[0]
    if hdfs.real:
        hdfs.real.activate(2)
    hdfs.asked.clear()
    assert client.read("/data/x") == TEXT
    assert client.active_url == hdfs.urls[1]
    assert client.exists("/data/x")
    assert hdfs.asked == ["namenode-1 OPEN", "namenode-2 OPEN", "datanode OPEN", "namenode-2 GETFILESTATUS"]
    assert clock.slept == []


def test_one_address_that_answers_for_all_servers(serving: Serving) -> None:
    hdfs = serving(gateway=True)
    client = Client(hdfs)
    write(client, "/data/x", TEXT)
    write(client, "/data/x", TEXT[1:], overwrite=True)  # it knows no renaming over another file
    assert client.read("/data/x") == TEXT[1:]
    client.rename("/data/x", "/data/y")
    write(client, "/data/d/inside", b"1")
    with pytest.raises(ExistingFileError, match="/data/d is a directory in HDFS"):
        write(client, "/data/d", b"2", overwrite=True)
    with pytest.raises(MissingFileError):
        client.rename("/data/none", "/data/z")
    assert names(client) == ["d/inside", "y"]
    assert "datanode CREATE" not in hdfs.asked


# ------------------------------------------------------------------------------------------ reading
def test_a_file_is_read_by_ranges_and_its_end_is_kept(serving: Serving) -> None:
    hdfs = serving()
    client, data = Client(hdfs), TEXT * 9000  # 855 kB
    write(client, "/data/x", data)
    hdfs.asked.clear()
    with reader(client, "/data/x") as file:
        assert (file.readable(), file.seekable(), file.size(), file.name) == (True, True, len(data), "/data/x")
        assert file.seek(-8, io.SEEK_END) == len(data) - 8
        assert file.read() == data[-8:]
        assert hdfs.asked.count("datanode OPEN") == 1
        file.seek(100)
        assert file.read(10) == data[100:110]
        file.seek(50_000, io.SEEK_CUR)  # not far: read over, on the same connection
        buffer = bytearray(200 * KIB)
        assert file.readinto(buffer) == len(buffer)
        assert bytes(buffer) == data[50_110 : 50_110 + len(buffer)]
        file.seek(0)
        assert file.readall() == data
        with pytest.raises(ValueError, match="before the start"):
            file.seek(-1)
    with pytest.raises(ValueError, match="is closed"):
        file.read(1)
    hdfs.asked.clear()
    with reader(client, "/data/x") as file:
        file.seek(len(data) - 100)
        assert file.read(100) == data[-100:]
    assert hdfs.asked == ["namenode-1 GETFILESTATUS"]


def test_reading_goes_on_where_a_connection_broke(serving: Serving) -> None:
    hdfs = serving()
    client, data = Client(hdfs), TEXT * 100
    client.put("/data/x", data)
    hdfs.cut("datanode OPEN", after=1000)
    hdfs.cut("datanode OPEN", after=1)
    with reader(client, "/data/x") as file:
        assert file.read() == data
    TAILS.forget()
    for _ in range(3):
        hdfs.cut("datanode OPEN", after=1)  # 1 byte each is progress
    with reader(client, "/data/x") as file:
        assert file.read() == data
    hdfs.cut("datanode OPEN", after=500)
    with pytest.raises(ServiceError, match="Reading /data/x from HDFS stopped"):
        client.read("/data/x")


def test_a_file_that_became_shorter_is_told(serving: Serving) -> None:
    client = Client(serving())
    client.put("/data/x", TEXT)
    with reader(client, "/data/x") as file:
        client.put("/data/x", b"1", overwrite=True)
        with pytest.raises(AutostreamError, match="has become shorter since it was opened"):
            file.read()


def test_a_missing_file_cannot_be_opened(serving: Serving) -> None:
    with pytest.raises(MissingFileError, match="/data/none does not exist in HDFS"):
        Client(serving()).read("/data/none")


# ------------------------------------------------------------------------------------------ writing
def test_a_large_file_is_sent_as_it_is_written(serving: Serving) -> None:
    hdfs = serving()
    client = Client(hdfs)
    with StagedWriter(client, "/data/x") as stream:
        assert stream.writable()
        stream.write(bytes(BUFFER_BYTES))
        stream.write(b"end")
        assert stream.tell() == BUFFER_BYTES + 3
        assert "/data/x" not in names(client)
    assert client.status("/data/x").size_bytes == BUFFER_BYTES + 3
    assert client.read("/data/x", offset=BUFFER_BYTES - 1) == b"\0end"


def test_a_file_is_given_up(serving: Serving) -> None:
    client = Client(serving())
    stream = StagedWriter(client, "/data/x")
    stream.write(TEXT)
    stream.abort()
    stream.abort()
    stream = StagedWriter(client, "/data/y")
    with pytest.raises(ZeroDivisionError):
        fail_with(stream)
    with pytest.raises(ValueError, match="is closed"):
        stream.write(b"1")
    assert names(client) == []


def test_another_writer_was_first(serving: Serving) -> None:
    client = Client(serving())
    first, second = StagedWriter(client, "/data/x"), StagedWriter(client, "/data/x")
    first.write(b"1")
    second.write(b"2")
    first.close()
    with pytest.raises(ExistingFileError):
        second.close()
    assert client.read("/data/x") == b"1"
    assert names(client) == ["x"]


def test_a_directory_is_not_replaced_by_a_file(serving: Serving) -> None:
    client = Client(serving())
    write(client, "/data/x/inside", b"1")
    with pytest.raises(ServiceError, match="x"):
        write(client, "/data/x", b"2", overwrite=True)
    assert names(client) == ["x/inside"]


# ------------------------------------------------------------------------------------------ lost answers
def test_a_question_whose_answer_is_lost_is_asked_again(serving: Serving, clock: FakeClock) -> None:
    hdfs = serving()
    client = Client(hdfs)
    hdfs.lose("namenode-1 GETFILESTATUS")
    hdfs.refuse("namenode-1 GETFILESTATUS", HTML)
    assert client.status("/data").is_directory
    assert hdfs.asked == ["namenode-1 GETFILESTATUS"] * 3
    assert len(clock.slept) == 2


def test_whether_a_file_was_there_is_not_known_where_the_answer_to_its_deletion_is_lost(serving: Serving) -> None:
    hdfs = serving()
    client = Client(hdfs)
    client.put("/data/x", b"1")
    hdfs.lose("namenode-1 DELETE")
    assert client.delete("/data/x") is None
    assert not client.exists("/data/x")


def test_a_rename_whose_answer_is_lost_is_found_done(serving: Serving, clock: FakeClock) -> None:
    hdfs = serving()
    client = Client(hdfs)
    hdfs.lose("namenode-1 RENAME")
    write(client, "/data/x", TEXT)
    assert names(client) == ["x"]
    assert clock.slept == []


def test_a_rename_that_a_gateway_kept_to_itself_is_made_again(serving: Serving) -> None:
    hdfs = serving()
    client = Client(hdfs)
    hdfs.refuse("namenode-1 RENAME", HTML)
    write(client, "/data/x", TEXT)
    assert client.read("/data/x") == TEXT
    assert hdfs.asked.count("namenode-1 RENAME") == 2


def test_a_rename_of_which_nothing_can_be_found_out_is_unknown(serving: Serving) -> None:
    hdfs = serving()
    client = Client(hdfs, retries=0)
    client.put("/data/x", b"old")
    stream = StagedWriter(client, "/data/x", overwrite=True)
    stream.write(b"new")
    hdfs.lose("namenode-1 RENAME")
    hdfs.refuse("namenode-1 GETFILESTATUS", HTML)
    hdfs.refuse("namenode-1 DELETE", HTML)
    hdfs.refuse("namenode-1 DELETE", HTML)
    with pytest.raises(OutcomeUnknownError, match="not known whether /data/x was written") as raised:
        stream.close()
    assert "may remain in HDFS" in raised.value.__notes__[0]
    assert client.read("/data/x") == b"new"


def test_bytes_whose_answer_is_lost_are_sent_again_under_another_name(serving: Serving) -> None:
    hdfs = serving()
    client = Client(hdfs)
    hdfs.lose("datanode CREATE")
    write(client, "/data/x", TEXT)
    assert client.read("/data/x") == TEXT
    assert names(client) == ["x"]
    assert hdfs.asked.count("datanode CREATE") == 2


def test_bytes_of_one_request_may_have_been_written(serving: Serving) -> None:
    hdfs = serving()
    client = Client(hdfs)
    hdfs.lose("datanode CREATE")
    with pytest.raises(AnswerLostError):
        client.put("/data/x", TEXT)
    assert client.read("/data/x") == TEXT


def test_a_data_node_that_forgot_a_token_is_named_again(serving: Serving) -> None:
    hdfs = serving()
    client = Client(hdfs)
    stale = refusal("SecurityException", "SecretManager$InvalidToken: Token is expired")
    hdfs.refuse("datanode CREATE", stale)
    client.put("/data/x", TEXT)
    assert hdfs.asked == ["namenode-1 CREATE", "datanode CREATE"] * 2


def test_a_large_file_that_a_data_node_does_not_take_leaves_nothing(serving: Serving) -> None:
    hdfs = serving()
    client = Client(hdfs)
    hdfs.lose("datanode CREATE")
    with pytest.raises(ServiceError, match="The connection broke while writing a file"):
        write(client, "/data/x", bytes(BUFFER_BYTES))
    hdfs.refuse("datanode CREATE", refusal("IOException", "File /x could only be written to 0 of the 1 nodes"))
    with pytest.raises(NoSpaceError, match="No DataNode that the NameNode can reach"):
        write(client, "/data/x", bytes(BUFFER_BYTES))
    assert names(client) == []


# ------------------------------------------------------------------------------------------ odd answers
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(200, {}, b"[1]"), "server is not a WebHDFS"),
        (Answer(200, {}, b"{}"), "has no FileStatus: the server is not a WebHDFS"),
        (Answer(307, {"Location": "/login"}), "it redirects to http://127.0.0.1:"),
    ],
)
def test_what_is_no_answer_to_a_question(serving: Serving, answer: Answer, says: str) -> None:
    hdfs = serving()
    hdfs.refuse("namenode-1 GETFILESTATUS", answer)
    with pytest.raises(ServiceError, match=says):
        Client(hdfs, retries=0).status("/data")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(200), "no redirect to a DataNode for the bytes"),
        (
            Answer(307, {"Location": "https://dn:9865/webhdfs/v1/data/x?delegation=SECRET"}),
            "redirects to https://dn:9865",
        ),
        (Answer(307), "redirects to nowhere"),
        (
            Answer(307, {"Location": "http://127.0.0.1:1/webhdfs/v1/data/x?op=CREATE"}),
            "Cannot reach the DataNode 127.0.0.1:1 that the NameNode named",
        ),
    ],
)
def test_what_leads_to_no_data_node(serving: Serving, answer: Answer, says: str) -> None:
    hdfs = serving()
    hdfs.refuse("namenode-1 CREATE", answer)
    with pytest.raises(ServiceError, match=says) as raised:
        Client(hdfs, retries=0).put("/data/x", b"1")
    assert "SECRET" not in str(raised.value)


def test_a_directory_that_is_not_made_without_a_reason(serving: Serving) -> None:
    hdfs = serving()
    hdfs.refuse("namenode-1 MKDIRS", Answer(200, {}, b'{"boolean": false}'))
    with pytest.raises(ServiceError, match="did not create directory /data/x, and gave no reason"):
        Client(hdfs).make_directory("/data/x")


def test_files_of_two_file_systems_are_not_renamed_into_each_other() -> None:
    files = WebHdfsFileIO({"webhdfs.urls.a": "http://a", "webhdfs.urls.b": "http://b", "webhdfs.user": "svc"})
    with pytest.raises(ConfigurationError, match="they are not in the same HDFS"):
        files.rename("hdfs://a/x", "hdfs://b/x")
    with pytest.raises(ConfigurationError, match="is not in HDFS"):
        list(files.walk("file:/tmp"))
