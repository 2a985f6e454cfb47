"""Requests to a service: what is repeated and where, what answers mean, and what errors say."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from autostream.backoff import Backoff
from autostream.config.sections.endpoint import Endpoint
from autostream.errors import AutostreamError, DeniedError, ServiceError
from autostream.http import JsonClient, Limits, RefusalError
from autostream.http.session import proxies_for
from tests.support.away import away
from tests.support.clocks import FakeClock
from tests.support.json_server import Answers, Reply, served

pytestmark = pytest.mark.usefixtures("clock")

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves answers; gives the address."""
    with ExitStack() as stack:
        yield lambda answers: stack.enter_context(served(answers))


def client_of(*urls: str, limits: Limits | None = None, **login: str) -> JsonClient:
    return JsonClient("Assets", Endpoint.model_validate({"url": urls, **login}), limits=limits)


def test_an_answer(serve: Serve) -> None:
    answers = Answers({"/a": lambda parameters: {"asked": parameters}})
    assert client_of(serve(answers) + "/").get("/a", {"x": "1,2"}) == {"asked": {"x": "1,2"}}


def test_what_is_not_there(serve: Serve) -> None:
    answers = Answers({"/page": Reply(404, b"<html>nothing here</html>")})
    client = client_of(serve(answers))
    assert client.find("/a") is None
    assert client.find("/page") is None
    with pytest.raises(RefusalError, match=rf"Assets refused GET {client.url}/a: 404 Not Found: so it is\."):
        client.get("/a")
    assert answers.asked == ["/a", "/page", "/a"], "what is not there is asked for once"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (500, r"answered GET .*/a with an error: 500 Internal Server Error: so it is\. Check `url` of Assets"),
        (503, r"with an error: 503 Service Unavailable"),
        (429, r"with an error: 429 Too Many Requests"),
        (Reply(400, b"Not here\n"), r"with an error: 400 Bad Request\."),
        (b"<html>log in</html>", r"answer .* is not JSON \('<html>log in</html>'\)"),
        (b"", r"answer .* is not JSON \(nothing\)"),
    ],
)
def test_an_error_is_named(serve: Serve, answer: Any, says: str) -> None:
    with pytest.raises(ServiceError, match=says) as raised:
        client_of(serve(Answers({"/a": answer}))).get("/a")
    assert raised.value.passes_by_itself


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"errors": ["java.lang.Exception: no\n\tat x.y(z)"]}, ": java.lang.Exception: no."),
        ({"errors": ["Internal server error.", "<Exception on server side:\nmore"]}, ": <Exception on server side:."),
        ({"detail": "no such asset", "message": "other"}, ": no such asset."),
        ({"message": "no"}, ": no."),
        ({"error": "token=s3cret-value is old"}, ": token=******** is old."),
        ({}, "409 Conflict."),
    ],
)
def test_the_words_of_the_service_are_told(serve: Serve, body: Any, said: str) -> None:
    with pytest.raises(RefusalError) as raised:
        client_of(serve(Answers({"/a": Reply(409, body)}))).get("/a")
    assert str(raised.value).endswith(said)
    assert (raised.value.status, raised.value.passes_by_itself) == (409, False)


def test_a_question_is_repeated_after_growing_pauses(serve: Serve, clock: FakeClock) -> None:
    answers = Answers({"/a": 503})
    limits = Limits(tries=4, backoff=Backoff(first_seconds=1.0, cap_seconds=3.0))
    with pytest.raises(ServiceError):
        client_of(serve(answers), limits=limits).get("/a")
    assert (len(answers.asked), clock.slept) == (4, [1.0, 2.0, 3.0])


def test_an_error_that_passes_is_not_seen(serve: Serve) -> None:
    script: list[Any] = [500, {"fine": True}]
    assert client_of(serve(Answers({"/a": lambda _: script.pop(0)}))).get("/a") == {"fine": True}


@pytest.mark.parametrize(("status", "times"), [(400, 1), (404, 1), (409, 1), (500, 1), (503, 1), (429, 2)])
def test_what_may_have_been_done_is_not_sent_twice(serve: Serve, status: int, times: int) -> None:
    answers = Answers({"/a": status})
    with pytest.raises(ServiceError, match=rf"POST .*/a.*: {status}"):
        client_of(serve(answers)).send("POST", "/a", {"x": 1})
    assert answers.posted == [("/a", {"x": 1})] * times


def test_what_may_be_repeated_is_sent_again(serve: Serve) -> None:
    script: list[Any] = [503, {"done": True}]
    answers = Answers({"/a": lambda _: script.pop(0)})
    assert client_of(serve(answers)).send("POST", "/a", {}, repeatable=True) == {"done": True}


def test_an_answer_without_content(serve: Serve) -> None:
    assert client_of(serve(Answers({"/a": Reply(202, b"")}))).send("POST", "/a", {}) is None


@pytest.mark.parametrize(
    ("method", "way"),
    [*(("GET", way) for way in ("refuses", "closes", "resets", "speaks TLS")), ("POST", "refuses"), ("POST", "closes")],
)
def test_the_next_address_is_asked_where_one_is_away(serve: Serve, way: str, method: str) -> None:
    answers = Answers({"/a": {"fine": True}})
    with away(way) as port:
        client = client_of(f"http://127.0.0.1:{port}", serve(answers))
        if method == "POST" and way == "closes":  # it may have been carried out
            with pytest.raises(ServiceError, match=f"did not answer POST http://127.0.0.1:{port}/a"):
                client.send("POST", "/a", {})
            return
        assert client.send(method, "/a", {} if method == "POST" else None, repeatable=method == "GET")
        assert client.get("/a") == {"fine": True}
    assert answers.asked == ["/a"] * 2
    assert client.url.endswith(str(port)) is False, "the one that answered is asked first"


def test_all_addresses_are_asked_before_anything_is_waited_for(clock: FakeClock) -> None:
    with away("refuses") as one, away("refuses") as other:
        urls = [f"http://127.0.0.1:{port}" for port in (one, other)]
        with pytest.raises(ServiceError, match=f"GET {urls[1]}/a: Connection refused"):
            client_of(*urls, limits=Limits(tries=2, backoff=Backoff(1.0, 1.0))).get("/a")
    assert clock.slept == [1.0]


def test_a_closed_port_gives_the_same_message_each_time() -> None:
    said = set()
    for _ in range(3):
        with pytest.raises(ServiceError) as raised:
            client_of("http://127.0.0.1:1").get("/a")
        said.add(str(raised.value))
    assert said == {
        "Assets did not answer GET http://127.0.0.1:1/a: Connection refused. "
        "Check `url` of Assets, and that the service is up."
    }


def test_who_does_not_answer_in_time_is_left(serve: Serve) -> None:
    hangs = threading.Event()
    answers = Answers({"/a": lambda _: hangs.wait(30) and None})
    client = client_of(serve(answers), limits=Limits(read_seconds=0.05))
    try:
        with pytest.raises(ServiceError, match=r"GET .*/a: .*timed out"):
            client.get("/a")
        assert answers.asked == ["/a"] * 2
        with pytest.raises(ServiceError, match=r"POST .*/a: .*timed out"):
            client.send("POST", "/a", {})
        assert len(answers.asked) == 3, "what may have been done is not sent twice"
    finally:
        hangs.set()


def test_an_answer_that_is_too_large_is_left(serve: Serve) -> None:
    answers = Answers({"/a": ["x" * 3000], "/b": ["x"]})
    client = client_of(serve(answers), limits=Limits(most_bytes=2048))
    with pytest.raises(ServiceError, match=r"answer of .* to GET .*/a is larger than 2\.0 KiB"):
        client.get("/a")
    assert client.get("/b") == ["x"]
    assert answers.asked == ["/a", "/b"]


def test_redirections_are_not_followed(serve: Serve) -> None:
    other = Answers({"/login": {}})
    where = serve(other)
    answers = Answers({"/a": Reply(302, b"", {"Location": f"{where}/login?next=s3cret"})})
    with pytest.raises(ServiceError, match=f"redirected GET .* to {where}/login. autostream does not follow"):
        client_of(serve(answers), token="t0ken-of-ours").get("/a")
    assert other.asked == []


@pytest.mark.parametrize(
    ("login", "sent"),
    [
        ({"username": "ops", "password": "a:b@c ü"}, "Basic b3BzOmE6YkBjIMO8"),
        ({"token": "t0ken-of-ours\n"}, "Bearer t0ken-of-ours"),
    ],
)
def test_a_login_is_sent_and_not_shown(serve: Serve, login: dict[str, str], sent: str) -> None:
    answers = Answers({"/a": {"fine": True}, "/b": Reply(500, {"errors": [f"not {sent}"]})}, login=sent)
    client = client_of(serve(answers), **login)
    assert client.get("/a") == {"fine": True}
    with pytest.raises(AutostreamError) as raised:
        client.get("/b")
    assert sent.split()[1] not in str(raised.value)


def test_an_account_in_the_address_is_sent_and_not_shown(serve: Serve) -> None:
    answers = Answers({"/a": {"fine": True}}, login="Basic b3BzOmE6YkBj")
    url = serve(answers)
    client = client_of(url.replace("http://", "http://ops:a%3Ab%40c@"))
    assert client.get("/a") == {"fine": True}
    assert client.url == url


def test_a_login_that_is_refused_is_not_tried_elsewhere(serve: Serve) -> None:
    answers = Answers({"/a": {}}, login="Bearer right-one")
    other = Answers({"/a": {}})
    with pytest.raises(DeniedError, match=r"GET .*/a: 401 Unauthorized\. It asks for a login with Bearer\.") as raised:
        client_of(serve(answers), serve(other), token="wr0ng-token").get("/a")
    assert other.asked == []
    assert "wr0ng" not in str(raised.value)
    answers.login, answers.paths["/a"] = "", Reply(403, {"message": "not yours"})
    with pytest.raises(DeniedError, match=r"403 Forbidden: not yours\. Grant the account"):
        client_of(serve(answers)).get("/a")


@pytest.mark.parametrize(
    ("url", "goes_by_proxy"),
    [
        ("http://127.0.0.1:8081", False),
        ("http://[::1]:8081", False),
        ("http://localhost:8081", False),
        ("http://flink.localhost", False),
        ("http://inner.example.org", False),
        ("http://jobmanager:8081", True),
        ("https://jobmanager:8081", True),
    ],
)
def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch, url: str, goes_by_proxy: bool) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://me:pr0xy-word@proxy:3128")
    monkeypatch.setenv("no_proxy", "inner.example.org")
    assert bool(proxies_for(url)) is goes_by_proxy


def test_threads_share_a_client(serve: Serve) -> None:
    client = client_of(serve(Answers({"/a": {"fine": True}})))
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(client.get("/a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"fine": True}] * 8
    client.close()
