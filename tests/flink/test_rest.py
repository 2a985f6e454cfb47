"""Requests to a job manager, and its answers as typed values; what is repeated when is in `tests/http`."""

from collections.abc import Iterator

import pytest

from autostream.errors import ServiceError
from autostream.flink.models import ClusterConfig, Metric
from autostream.flink.rest import FlinkRest
from tests.support.clocks import FakeClock
from tests.support.flink_clusters import cluster_at
from tests.support.json_server import Answers, served


@pytest.fixture
def answers() -> Answers:
    return Answers({"/config": {"refresh-interval": 3000, "features": {"web-submit": True}}})


@pytest.fixture
def rest(answers: Answers, clock: FakeClock) -> Iterator[FlinkRest]:
    with served(answers) as url:
        yield FlinkRest(cluster_at(url + "/"))


def test_an_answer(rest: FlinkRest, answers: Answers) -> None:
    assert rest.get("/config") == answers.paths["/config"]
    assert rest.read("/config", ClusterConfig) == ClusterConfig(refresh_interval_ms=3000, flink_version="")
    assert answers.asked == ["/config"] * 2


def test_what_is_not_there_is_none_and_asked_for_once(rest: FlinkRest, answers: Answers) -> None:
    assert rest.get("/jobs/7") is None
    assert rest.read("/jobs/8", ClusterConfig) is None
    assert answers.asked == ["/jobs/7", "/jobs/8"]


def test_an_error_names_cluster_and_address(rest: FlinkRest, answers: Answers) -> None:
    answers.paths["/config"] = 500
    with pytest.raises(ServiceError) as raised:
        rest.get("/config")
    assert str(raised.value) == (
        f"Flink cluster prod answered GET {rest.url}/config with an error: 500 Internal Server Error: so it is. "
        "Check `url` of Flink cluster prod, and that the service is up."
    )
    assert answers.asked == ["/config"] * 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, r"refresh-interval: Field required"),
        ({"refresh-interval": "soon"}, r"refresh-interval: Input should be a valid number"),
        ([], r"Input should be"),
    ],
)
def test_an_answer_of_another_shape(rest: FlinkRest, answers: Answers, answer: object, reason: str) -> None:
    answers.paths["/config"] = answer
    with pytest.raises(ServiceError, match=rf"the answer of .* to {rest.url}/config \({reason}"):
        rest.read("/config", ClusterConfig)


def test_a_list_of_values(rest: FlinkRest, answers: Answers) -> None:
    answers.paths["/m"] = [{"id": "a", "value": "1"}, {"id": "b"}]
    assert rest.read("/m", list[Metric]) == [Metric(id="a", value="1"), Metric(id="b")]
    answers.paths["/m"] = [{"value": "1"}]
    with pytest.raises(ServiceError, match=r"answer of .*/m \(0\.id: Field required\)"):
        rest.read("/m", list[Metric])


def test_what_is_posted(rest: FlinkRest, answers: Answers) -> None:
    answers.paths["/jobs/7/checkpoints"] = {"request-id": "1"}
    assert rest.post("/jobs/7/checkpoints", {"checkpointType": "FULL"}) == {"request-id": "1"}
    assert answers.posted == [("/jobs/7/checkpoints", {"checkpointType": "FULL"})]


@pytest.mark.parametrize("status", [400, 404, 409, 500])
def test_what_is_posted_and_refused(rest: FlinkRest, answers: Answers, status: int) -> None:
    answers.paths["/jobs/7/checkpoints"] = status
    with pytest.raises(ServiceError, match=f"POST {rest.url}/jobs/7/checkpoints.*: {status}"):
        rest.post("/jobs/7/checkpoints", {})
    assert len(answers.posted) == 1
