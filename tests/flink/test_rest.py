"""Requests to a job manager: what is repeated, for how long, and what errors say."""

import threading
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests

from autostream.errors import ConfigurationError, ServiceError
from autostream.flink import rest as rest_module
from autostream.flink.rest import FlinkRest
from tests.flink.serving import Answers, served
from tests.support.clocks import FakeClock


@pytest.fixture
def answers() -> Answers:
    return Answers({"/config": {"refresh-interval": 3000}})


@pytest.fixture
def url(answers: Answers) -> Iterator[str]:
    with served(answers) as found:
        yield found


@pytest.fixture(autouse=True)
def _pauses_take_no_time(clock: FakeClock) -> None:
    """The tests ask the clock how long was waited."""


def test_an_answer(url: str, answers: Answers, clock: FakeClock) -> None:
    assert FlinkRest(url + "/").get("/config") == {"refresh-interval": 3000}
    assert (answers.asked, clock.slept) == (["/config"], [])


def test_what_is_not_there_is_none_and_asked_for_once(url: str, answers: Answers, clock: FakeClock) -> None:
    assert FlinkRest(url).get("/jobs/7") is None
    assert (answers.asked, clock.slept) == (["/jobs/7"], [])


@pytest.mark.parametrize(
    ("answer", "says"),
    [(500, "500 Server Error"), (503, "503 Server Error"), (b"<html>", "Expecting value"), (b"", "")],
)
def test_an_error_is_asked_for_again_and_then_named(
    url: str, answers: Answers, answer: Any, says: str, clock: FakeClock
) -> None:
    answers.paths["/config"] = answer
    with pytest.raises(ServiceError) as raised:
        FlinkRest(url, tries=3).get("/config")
    assert f"Flink does not answer {url}/config: " in str(raised.value)
    assert says in str(raised.value)
    assert "Check the address and that it is up." in str(raised.value)
    assert answers.asked == ["/config"] * 3
    assert len(clock.slept) == 2
    assert all(0.2 <= wait <= 0.4 for wait in clock.slept)


def test_an_error_that_passes_is_not_seen(url: str, answers: Answers) -> None:
    script: list[Any] = [500, {"fine": True}]
    answers.paths["/config"] = lambda _: script.pop(0)
    assert FlinkRest(url).get("/config") == {"fine": True}


def test_nobody_there() -> None:
    with pytest.raises(ServiceError, match=r"does not answer http://127\.0\.0\.1:1/config: .*Connection refused"):
        FlinkRest("http://127.0.0.1:1").get("/config")


def test_nobody_there_is_said_in_the_same_words_each_time() -> None:
    rest, said = FlinkRest("http://127.0.0.1:1"), set()
    for _ in range(3):
        with pytest.raises(ServiceError) as raised:
            rest.get("/config")
        said.add(str(raised.value))
    assert len(said) == 1


def test_who_does_not_answer_in_time_is_left(url: str, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    answers.paths["/config"] = lambda _: hangs.wait(30) and None
    answers.paths["/jobs/7/checkpoints"] = answers.paths["/config"]
    monkeypatch.setattr(rest_module, "_TIMEOUT_SECONDS", (1.0, 0.05))
    try:
        with pytest.raises(ServiceError, match=r"/config: .*timed out"):
            FlinkRest(url).get("/config")
        assert answers.asked == ["/config"] * 2
        with pytest.raises(ServiceError, match=r"/jobs/7/checkpoints: .*timed out"):
            FlinkRest(url).post("/jobs/7/checkpoints", {})
        assert len(answers.asked) == 3, "what is not safe to repeat is not repeated"
    finally:
        hangs.set()


def test_what_is_posted(url: str, answers: Answers) -> None:
    answers.paths["/jobs/7/checkpoints"] = {"request-id": "1"}
    assert FlinkRest(url).post("/jobs/7/checkpoints", {"checkpointType": "FULL"}) == {"request-id": "1"}
    assert answers.posted == [("/jobs/7/checkpoints", {"checkpointType": "FULL"})]


@pytest.mark.parametrize("status", [400, 404, 409, 500])
def test_what_is_posted_and_refused(url: str, answers: Answers, status: int, clock: FakeClock) -> None:
    answers.paths["/jobs/7/checkpoints"] = status
    with pytest.raises(ServiceError, match=f"{url}/jobs/7/checkpoints: {status}"):
        FlinkRest(url).post("/jobs/7/checkpoints", {})
    assert (len(answers.posted), clock.slept) == (1, [])


def test_each_thread_has_a_connection_of_its_own(url: str) -> None:
    rest = FlinkRest(url)
    sessions = {id(rest._session()), id(rest._session())}
    thread = threading.Thread(target=lambda: sessions.add(id(rest._session())))
    thread.start()
    thread.join()
    assert len(sessions) == 2


@pytest.mark.parametrize("password", ["pw", "a:b@c/d?e#f%g ü", ""])
def test_an_account_in_the_address_is_sent_and_not_shown(password: str) -> None:
    rest = FlinkRest(f"https://ops:{quote(password, safe='')}@host:8081/flink/")

    request = rest._session().prepare_request(requests.Request("GET", rest.url))

    assert rest.url == request.url == "https://host:8081/flink"
    assert b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == f"ops:{password}"


@pytest.mark.parametrize(
    "url",
    [
        "http://ops:s3/cret@host:8081",
        "http://ops:s3?cret@host:8081",
        "http://ops:s3#cret@host:8081",
        "http://host:s3cret",
        "ftp://ops:s3cret@host",
        "jobmanager:8081",
        "http://",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not the address of a Flink cluster") as raised:
        FlinkRest(url)

    assert "cret" not in str(raised.value) or url == "http://host:s3cret"
    assert raised.value.__cause__ is None
