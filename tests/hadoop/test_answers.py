"""What answers of WebHDFS servers mean."""

import json
import pickle

import pytest

from autostream.errors import AutostreamError, DataError, DeniedError, ResourceError, ServiceError
from autostream.hadoop.answers import (
    Call,
    ExistingFileError,
    MissingFileError,
    NoSpaceError,
    Refusal,
    RefusedError,
    Trouble,
    error_of,
    parse_refusal,
    stale_token,
    trouble_of,
    unreachable_error,
    without_tokens,
)

CALL = Call("CREATE", "/t/x", "http://nn1:9870", "svc", "alice")


def remote(exception: str, message: str) -> bytes:
    document = {"exception": exception, "javaClassName": f"org.apache.{exception}", "message": message}
    return json.dumps({"RemoteException": document}).encode()


def test_a_remote_exception_is_read() -> None:
    answer = parse_refusal(403, remote("AccessControlException", "Permission denied: user=x\n\tat org.apache"))
    assert answer == Refusal(403, "AccessControlException", "Permission denied: user=x")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><title>Error 503</title><body>x</body></html>", "Error 503"),
        (b"<p>Not here</p>", "Not here"),
        (b"", ""),
        (b"[1]", "[1]"),
        (b'{"RemoteException": 7}', '{"RemoteException": 7}'),
        (b"\xff" * 9, "\ufffd" * 9),
        (b"x" * 5000, "x" * 400),
    ],
)
def test_what_is_none_is_read_as_far_as_it_goes(body: bytes, message: str) -> None:
    assert parse_refusal(500, body) == Refusal(500, "", message)


@pytest.mark.parametrize(
    ("status", "exception", "message", "expected"),
    [
        (403, "StandbyException", "Operation category READ is not supported in state standby", Trouble.STANDBY),
        (403, "RetriableException", "org.apache.hadoop...", Trouble.BUSY),
        (403, "SafeModeException", "Cannot create file", Trouble.BUSY),
        (403, "IOException", "Namenode is in startup mode", Trouble.BUSY),
        (503, "", "", Trouble.BUSY),
        (429, "", "", Trouble.BUSY),
        (504, "", "", Trouble.LOST),
        (500, "", "", None),
        (404, "FileNotFoundException", "", None),
        (403, "AccessControlException", "", None),
    ],
)
def test_whether_asking_again_can_help(status: int, exception: str, message: str, expected: Trouble | None) -> None:
    assert trouble_of(Refusal(status, exception, message)) is expected


@pytest.mark.parametrize(
    ("refusal", "kind", "base", "words"),
    [
        (Refusal(404, "FileNotFoundException", "no"), MissingFileError, FileNotFoundError, "/t/x does not exist"),
        (
            Refusal(403, "FileAlreadyExistsException", "x"),
            ExistingFileError,
            FileExistsError,
            "/t/x already exists in HDFS",
        ),
        (Refusal(403, "AccessControlException", "x"), RefusedError, PermissionError, "denied access to alice"),
        (
            Refusal(403, "AuthorizationException", "User: svc is not allowed to impersonate alice"),
            RefusedError,
            DeniedError,
            "does not allow svc to act as alice",
        ),
        (Refusal(401, "", "Authentication required"), RefusedError, DeniedError, "webhdfs.authentication to kerberos"),
        (Refusal(403, "DSQuotaExceededException", "x"), NoSpaceError, OSError, "quota is used up"),
        (
            Refusal(403, "IOException", "File /x could only be written to 0 of the 1 minReplication nodes"),
            NoSpaceError,
            ResourceError,
            "No DataNode that the NameNode can reach",
        ),
        (Refusal(403, "IllegalArgumentException", "x"), ServiceError, AutostreamError, "IllegalArgumentException: x"),
        (Refusal(405, "", "x"), ServiceError, AutostreamError, "server is not a WebHDFS"),
    ],
)
def test_errors_say_what_when_where_and_as_whom(
    refusal: Refusal, kind: type[Exception], base: type[Exception], words: str
) -> None:
    error = error_of(refusal, CALL)
    assert type(error) is kind
    assert isinstance(error, base)
    assert words in str(error)
    assert "http://nn1:9870" in str(error)
    assert "svc" in str(error)
    assert "alice" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_missing_file_is_damage() -> None:
    assert isinstance(error_of(Refusal(404, "FileNotFoundException", ""), CALL), DataError)


def test_no_token_is_shown() -> None:
    url = "http://dn:9864/webhdfs/v1/x?op=OPEN&delegation=SECRET1&offset=0 hadoop.auth=SECRET2; signature=SECRET3"
    assert "SECRET" not in without_tokens(url)
    assert "offset=0" in without_tokens(url)
    assert "SECRET" not in str(error_of(parse_refusal(500, url.encode()), CALL))
    assert stale_token(Refusal(403, "SecurityException", "Failed: ...SecretManager$InvalidToken: can't be found"))
    assert not stale_token(Refusal(403, "SecurityException", "no"))


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Trouble.STANDBY, "Every NameNode is in standby"),
        (Trouble.BUSY, "cannot do this now"),
        (Trouble.LOST, "did not answer"),
        (Trouble.UNREACHABLE, "Cannot reach HDFS"),
    ],
)
def test_the_last_error_names_all_servers(trouble: Trouble, words: str) -> None:
    text = str(unreachable_error(CALL, ("http://nn1:9870", "http://nn2:9870"), trouble, "refused"))
    assert words in text
    assert "http://nn1:9870 and http://nn2:9870" in text
